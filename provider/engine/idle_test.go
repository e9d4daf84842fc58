package engine_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// What has no effect is logged once for a class, however often pods ask for it, and is
// told beside what is wrong, since what is missing may stand there under a wrong name.
func TestWhatHasNoEffectIsLoggedOnceForEachClass(t *testing.T) {
	log := logged(t)
	b := start(t, nil)
	b.memory.Put("a", "v")
	b.classes["web"] = &spec.Class{
		Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}},
		Idle:    spec.Problems{{Field: "team", Text: "unknown parameter, which has no effect"}, {Field: "key", Text: "has no effect beside that"}},
	}
	for range 3 {
		b.mustMount(t, web, "web")
	}
	const want = `parts="team: unknown parameter, which has no effect; key: has no effect beside that"`
	if n := strings.Count(log.String(), want); n != 1 {
		t.Errorf("it is logged %d times: %s", n, log)
	}
	b.classes["wrong"] = &spec.Class{Idle: b.classes["web"].Idle}
	err := b.Check("test", map[string]string{"class": "wrong"})
	if want := "objects: has no entries; list at least one object; team: unknown parameter, which has no effect"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
