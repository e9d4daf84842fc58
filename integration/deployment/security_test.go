package deployment

import (
	"maps"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// exceptions are the checks of the Pod Security Standards that the provider's
// pod does not pass, as docs/install.md says, and why.
var exceptions = map[policy.CheckID]string{
	"hostPathVolumes":   "the driver looks for sockets in a directory of the node",
	"restrictedVolumes": "the same",
	"runAsNonRoot":      "that directory is root's",
	"runAsUser":         "the same",
}

// failing are the checks of every level that the provider's pods fail.
func failing(t *testing.T, values string) []policy.CheckID {
	t.Helper()
	return failed(t, daemonSet(t, render(t, values)).Spec.Template)
}

// failed are the checks of every level that pods of a template fail.
func failed(t *testing.T, template core.PodTemplateSpec) []policy.CheckID {
	t.Helper()
	var failed []policy.CheckID
	checked := 0
	for _, check := range policy.DefaultChecks() {
		latest := check.Versions[len(check.Versions)-1]
		if check.Level != api.LevelBaseline && check.Level != api.LevelRestricted {
			continue
		}
		checked++
		if result := latest.CheckPod(&template.ObjectMeta, &template.Spec); !result.Allowed {
			failed = append(failed, check.ID)
		}
	}
	if checked < 15 {
		t.Fatalf("only %d checks were made", checked)
	}
	slices.Sort(failed)
	return failed
}

func TestThePodIsRestrictedButForWhatTheSocketNeeds(t *testing.T) {
	if got, want := failing(t, ""), slices.Sorted(maps.Keys(exceptions)); !slices.Equal(got, want) {
		t.Errorf("the pod fails %v, want %v", got, want)
	}
}

func TestADirectoryOfItsOwnNeedsNoRoot(t *testing.T) {
	want := []policy.CheckID{"hostPathVolumes", "restrictedVolumes"}
	if got := failing(t, "runAsUser: 65532"); !slices.Equal(got, want) {
		t.Errorf("the pod fails %v, want %v", got, want)
	}
}

func TestWhatTheProfilesDoNotAskFor(t *testing.T) {
	spec := pod(t, "")
	context := spec.Containers[0].SecurityContext
	if !*context.ReadOnlyRootFilesystem || *context.AllowPrivilegeEscalation || context.Privileged != nil {
		t.Errorf("the container's context is %v", context)
	}
	if got := context.Capabilities; len(got.Add) != 0 || len(got.Drop) != 1 || got.Drop[0] != "ALL" {
		t.Errorf("the capabilities are %v", got)
	}
	if spec.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || spec.SecurityContext.FSGroup != nil {
		t.Errorf("the pod's context is %v", spec.SecurityContext)
	}
	if len(spec.Containers[0].Env) != 0 || len(spec.Containers[0].EnvFrom) != 0 {
		t.Error("the container has an environment, where secrets end up")
	}
}

func TestSELinuxOptions(t *testing.T) {
	if got := pod(t, "seLinuxOptions: {type: spc_t}").SecurityContext.SELinuxOptions; got == nil || got.Type != "spc_t" {
		t.Errorf("the options are %v", got)
	}
}
