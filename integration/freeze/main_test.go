package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheProgramIsStoppedAndGoesOn(t *testing.T) {
	var log bytes.Buffer
	begin := time.Now()
	code, err := run([]string{"sh", "-c", "sleep 0.2; exit 3"}, []time.Duration{time.Millisecond}, time.Second, &log)
	if code != 3 || err != nil {
		t.Errorf("exit code %d, %v; want that of the program, 3", code, err)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("the program ended after %v, within a stop of 1s", took)
	}
	if !strings.HasPrefix(log.String(), "freeze: stopped after ") {
		t.Errorf("log %q does not say when the program was stopped", &log)
	}
}

func TestAProgramThatEndsBeforeAStopIsNotWaitedFor(t *testing.T) {
	var log bytes.Buffer
	code, err := run([]string{"true"}, []time.Duration{time.Hour}, time.Hour, &log)
	if code != 0 || err != nil || log.Len() > 0 {
		t.Errorf("exit code %d, %v, log %q", code, err, &log)
	}
}

func TestASeedRepeatsTheMoments(t *testing.T) {
	if a, b := moments(1, 5), moments(1, 5); !reflect.DeepEqual(a, b) {
		t.Errorf("moments %v and %v of one seed differ", a, b)
	}
	for _, d := range moments(2, 1000) {
		if d < 2*time.Millisecond || d > 4*time.Second {
			t.Errorf("a moment after %v", d)
		}
	}
}
