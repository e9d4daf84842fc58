package config

import "testing"

// What a class says is the operator's word if it means the same, however it is spelt, and
// the operator's spelling then holds.
func TestAClassMaySpellTheOperatorsSettingsOtherwise(t *testing.T) {
	operator := Store{Type: "vault", Fields: map[string]any{"address": "https://v/vault", "namespace": "team/a", "retries": 3},
		Override: map[string][]string{"tls.serverName": {"https://v-*.example.com:443"}}}
	for name, test := range map[string]struct {
		class   map[string]any
		refused bool
	}{
		"the same":               {map[string]any{"address": "https://v/vault"}, false},
		"a port, case, slashes":  {map[string]any{"address": "HTTPS://V:443//vault/"}, false},
		"slashes around a path":  {map[string]any{"namespace": "/team/a/"}, false},
		"another path":           {map[string]any{"address": "https://v"}, true},
		"another scheme":         {map[string]any{"address": "http://v/vault"}, true},
		"another namespace":      {map[string]any{"namespace": "team/A"}, true},
		"nothing":                {map[string]any{"namespace": ""}, true},
		"a number as text":       {map[string]any{"retries": "3"}, true},
		"one of override":        {map[string]any{"tls": map[string]any{"serverName": "https://V-1.example.com/"}}, false},
		"beyond one of override": {map[string]any{"tls": map[string]any{"serverName": "https://v-1.example.com/x"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			merged := operator.Merge("v", nil, test.class)
			if refused := len(merged.Refused) > 0; refused != test.refused {
				t.Errorf("refused: %v", merged.Refused)
			}
			for _, field := range []string{"address", "namespace", "retries"} {
				if merged.Fields[field] != operator.Fields[field] {
					t.Errorf("%s is %v", field, merged.Fields[field])
				}
			}
			if left := operator.AddedByClass(test.class); !test.refused && test.class["tls"] == nil && len(left) > 0 {
				t.Errorf("convert leaves %v", left)
			}
		})
	}
}
