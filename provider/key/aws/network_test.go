package aws_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestCallsGoThroughTheProxy(t *testing.T) {
	for name, asPod := range map[string]bool{"as the node": false, "as a pod": true} {
		t.Run(name, func(t *testing.T) {
			keytest.Network(t, "double.example.com", func(t *testing.T) *keytest.Fixture {
				f := newFixture(t)
				if asPod {
					return &keytest.Fixture{Type: f.typ, Settings: f.asPod(f.key, nil), Identity: f.pod(t, "prod/web")}
				}
				return &keytest.Fixture{Type: f.typ, Settings: f.asNode(f.key, nil)}
			})
		})
	}
}
