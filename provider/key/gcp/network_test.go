package gcp_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/key/gcp"
	"github.com/lanyardhq/lanyard/provider/key/keytest"
)

func TestCallsGoThroughTheProxy(t *testing.T) {
	for name, asPod := range map[string]bool{"as the node": false, "as a pod": true} {
		t.Run(name, func(t *testing.T) {
			keytest.Network(t, "double.example.com", func(t *testing.T) *keytest.Fixture {
				c := newCloud(t)
				if asPod {
					return &keytest.Fixture{Type: gcp.NewType(gcp.Options{}), Settings: c.asPod(kmsName, nil), Identity: c.pod(t, "prod", "web")}
				}
				return &keytest.Fixture{Type: gcp.NewType(gcp.Options{}), Settings: c.asNode(kmsName, nil)}
			})
		})
	}
}
