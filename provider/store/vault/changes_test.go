package vault

import (
	"net/http"
	"testing"
	"time"
)

func TestTheTimeToARotationIsRead(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for body, want := range map[string]time.Duration{
		`{"password":"p","ttl":20,"rotation_period":60}`:                      21 * time.Second,
		`{"password":"p","ttl":0,"rotation_period":60}`:                       time.Second,
		`{"password":"p","ttl":1.5,"rotation_schedule":"0 * * * *"}`:          2500 * time.Millisecond,
		`{"password":"p","ttl":"20","rotation_period":"1m"}`:                  21 * time.Second,
		`{"password":"p","ttl":20,"last_vault_rotation":"2026-01-01T00:00Z"}`: 21 * time.Second,
		`{"password":"p","ttl":20}`:                                           0,
		`{"password":"p","rotation_period":60}`:                               0,
		`{"password":"p","ttl":-1,"rotation_period":60}`:                      0,
		`{"password":"p","ttl":"soon","rotation_period":60}`:                  0,
		`{"password":"p","ttl":"NaN","rotation_period":60}`:                   0,
		`{"password":"p","ttl":1e300,"rotation_period":60}`:                   0,
		`{"password":"p","ttl":{},"rotation_period":60}`:                      0,
		`[]`:   0,
		`null`: 0,
	} {
		got := time.Duration(0)
		if at := rotation([]byte(body), start); !at.IsZero() {
			got = at.Sub(start)
		}
		if got != want {
			t.Errorf("%s: %v after the read, want %v", body, got, want)
		}
	}
}

func TestAVersionTellsItsOrderAndItsEnd(t *testing.T) {
	const body = `{"data":{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05Z","deletion_time":"2024-02-02T03:04:05Z","version":7}}}`
	value, err := read(200, body)
	if err != nil {
		t.Fatal(err)
	}
	made, end := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2024, 2, 2, 3, 4, 6, 0, time.UTC)
	if value.Order != 7 || !value.Made.Equal(made) || !value.ChangesAt.Equal(end) {
		t.Errorf("order %d, made %v, changes %v", value.Order, value.Made, value.ChangesAt)
	}
	pinned, err := become(&query{key: "secret/data/a", method: http.MethodGet, pinned: "7"}, 200, body)
	if err != nil || pinned.Order != 0 {
		t.Errorf("a pinned version has order %d, %v", pinned.Order, err)
	}
}
