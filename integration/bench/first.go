package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// vaultDelay is what is added to each request to Vault.
const vaultDelay = 10 * time.Millisecond

// measureFirst measures the first mounts of service accounts that nobody has
// seen before, and beside them what a login and a read take alone.
func measureFirst(ctx context.Context, l *lab) ([]figure, error) {
	proxy, err := l.proxy(ctx, vaultDelay)
	if err != nil {
		return nil, err
	}
	defer proxy.Close()
	provider, err := l.startProvider(ctx, config(proxy.Address, never))
	if err != nil {
		return nil, err
	}
	defer provider.stop()

	sizes := []int{1, 20, 100}
	samples := map[string][]float64{}
	add := func(what string, took time.Duration) { samples[what] = append(samples[what], ms(took)) }
	plain := plainClient{http: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}, address: proxy.Address}
	defer plain.http.CloseIdleConnections()
	for i := range 1 + l.samples(25) {
		login, read, err := l.alone(ctx, plain, i)
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first opens connections
			add("login", login)
			add("read", read)
		}
		for _, size := range sizes {
			took, err := l.firstMount(ctx, proxy, provider, i, size)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				add(nameOf(size), took)
			}
		}
	}
	return firstFigures(sizes, samples), nil
}

func firstFigures(sizes []int, samples map[string][]float64) []figure {
	login, read := summarize("ms", samples["login"]), summarize("ms", samples["read"])
	figures := []figure{
		{What: "a login at Vault + 10 ms, alone", Unit: "ms", Value: login.P50, Samples: map[string]summary{"login": login}},
		{What: "a read at Vault + 10 ms, alone", Unit: "ms", Value: read.P50, Samples: map[string]summary{"read": read}},
	}
	reads := map[int]float64{20: 2, 100: 5} // that a mount may take as long as
	for _, size := range sizes {
		took := summarize("ms", samples[nameOf(size)])
		f := figure{
			What: "first mount of " + nameOf(size) + ", Vault + 10 ms: p50", Unit: "ms",
			Value: took.P50, Samples: map[string]summary{"provider": took}, Calls: &calls{Logins: 1, Reads: size},
		}
		if n, ok := reads[size]; ok {
			f.Floor = login.P50 + read.P50
			f.Chart = "first mount of " + nameOf(size) + ", Vault"
			if size == 20 {
				f.Headline = "the first mount of a service account, 20 secrets, Vault 10 ms away: p50 (floor: a login and a read)"
			}
			f = f.held(atMost, login.P50+n*read.P50, fmt.Sprintf("login + %.0f reads", n))
		}
		figures = append(figures, f)
	}
	return figures
}

func nameOf(size int) string {
	if size == 1 {
		return "1 secret"
	}
	return fmt.Sprintf("%d secrets", size)
}

// firstMount is the mount of a new service account, with exactly one login and
// one read for each secret.
func (l *lab) firstMount(ctx context.Context, proxy *faultproxy.Proxy, provider *server, i, size int) (time.Duration, error) {
	request, err := l.request(fmt.Sprintf("first-%d-%d", size, i), 0, class(small, size))
	if err != nil {
		return 0, err
	}
	forget(proxy)
	start := time.Now()
	if _, err := provider.mount(ctx, request, size); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if got, want := callsAt(proxy), (calls{Logins: 1, Reads: size}); got != want {
		return 0, fmt.Errorf("a first mount of %s took %v, want %v", nameOf(size), got, want)
	}
	return took, nil
}

// alone logs in as a new service account and reads a secret, as a plain
// program would over a connection that is open.
func (l *lab) alone(ctx context.Context, plain plainClient, i int) (login, read time.Duration, err error) {
	token, err := l.issuer.Token(claims(fmt.Sprintf("alone-%d", i), 0))
	if err != nil {
		return 0, 0, err
	}
	body, err := json.Marshal(map[string]string{"role": role, "jwt": token})
	if err != nil {
		return 0, 0, err
	}
	var granted struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	start := time.Now()
	if err := plain.call(ctx, http.MethodPost, "auth/jwt/login", "", body, &granted); err != nil {
		return 0, 0, err
	}
	login = time.Since(start)
	start = time.Now()
	err = plain.call(ctx, http.MethodGet, keyOf(small, 0), granted.Auth.Token, nil, nil)
	return login, time.Since(start), err
}

// plainClient calls Vault with nothing but the standard library.
type plainClient struct {
	http    *http.Client
	address string
}

func (c plainClient) call(ctx context.Context, method, path, token string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.address+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Vault-Token", token)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
