package deployment

import (
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// impersonation is what is rendered of the policy with its values.
func impersonation(t *testing.T, values string) Rendered {
	t.Helper()
	return part(t, render(t, "impersonation: "+values), "impersonation")
}

func TestThePolicyAgainstImpersonationIsOffByDefault(t *testing.T) {
	for _, values := range []string{"{}", "{updates: account, aggregateTo: [edit]}"} {
		if its := impersonation(t, values); len(its.Objects) != 0 {
			t.Errorf("with %s there are %s", values, kinds(its))
		}
	}
}

func TestThePolicyAgainstImpersonationReportsOrEnforces(t *testing.T) {
	for mode, want := range map[string][]admission.ValidationAction{
		"report":  {admission.Warn, admission.Audit},
		"enforce": {admission.Deny, admission.Audit},
	} {
		its := impersonation(t, "{mode: "+mode+"}")
		if got := kinds(its); got != "ClusterRole ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding" {
			t.Errorf("the kinds are %s", got)
		}
		policy := object[admission.ValidatingAdmissionPolicy](t, its, "ValidatingAdmissionPolicy")
		binding := object[admission.ValidatingAdmissionPolicyBinding](t, its, "ValidatingAdmissionPolicyBinding")
		if !slices.Equal(binding.Spec.ValidationActions, want) || binding.Spec.PolicyName != policy.Name || policy.Name != "lanyard-impersonation.secrets" {
			t.Errorf("the binding of %s is %v", policy.Name, binding.Spec)
		}
		if *policy.Spec.FailurePolicy != admission.Fail || *policy.Spec.Validations[0].Reason != "Forbidden" {
			t.Errorf("the policy is %v", policy.Spec)
		}
	}
}

func TestWhereThePolicyAgainstImpersonationHolds(t *testing.T) {
	const never = "{matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, secrets]}"
	for selector, want := range map[string]string{
		"{}":                                 never + "]}",
		"{matchLabels: {team: shop}}":        "{matchLabels: {team: shop}, " + never[1:] + "]}",
		"{matchLabels: {'a.example/b': ''}}": "{matchLabels: {'a.example/b': ''}, " + never[1:] + "]}",
		"{matchExpressions: [{key: a, operator: In, values: [b, c]}, {key: d, operator: Exists}]}": never + ", {key: a, operator: In, values: [b, c]}, {key: d, operator: Exists}]}",
	} {
		its := impersonation(t, "{mode: report, namespaceSelector: "+selector+"}")
		got, err := yaml.Marshal(object[admission.ValidatingAdmissionPolicy](t, its, "ValidatingAdmissionPolicy").Spec.MatchConstraints.NamespaceSelector)
		if err != nil {
			t.Fatal(err)
		}
		var read any
		decode(t, want, &read)
		text, err := yaml.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(text) {
			t.Errorf("with %s it holds in\n%swant\n%s", selector, got, text)
		}
	}
}

// In kube-system there is one namespace that it does not hold in, not two.
func TestThePolicyAgainstImpersonationMayBeInstalledIntoKubeSystem(t *testing.T) {
	values, err := Values("impersonation: {mode: enforce}")
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := Render(Release{Name: "lanyard", Namespace: "kube-system", Values: values})
	if err != nil {
		t.Fatal(err)
	}
	policy := object[admission.ValidatingAdmissionPolicy](t, part(t, rendered, "impersonation"), "ValidatingAdmissionPolicy")
	if got := policy.Spec.MatchConstraints.NamespaceSelector.MatchExpressions; len(got) != 1 || !slices.Equal(got[0].Values, []string{"kube-system"}) {
		t.Errorf("it holds where %v", got)
	}
}

func TestRolesOfKubernetesUseServiceAccountsOnlyIfTheOperatorWants(t *testing.T) {
	for values, want := range map[string]string{
		"{mode: report}":                             "",
		"{mode: report, aggregateTo: [admin]}":       "admin",
		"{mode: report, aggregateTo: [edit, admin]}": "admin edit",
	} {
		role := object[rbac.ClusterRole](t, impersonation(t, values), "ClusterRole")
		var got []string
		for label, value := range role.Labels {
			if of, is := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-"); is && value == "true" {
				got = append(got, of)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("with %s it is part of %v", values, got)
		}
		rule := rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"use"}}
		if role.Name != "secrets:lanyard-use-service-accounts" || len(role.Rules) != 1 || role.Rules[0].String() != rule.String() {
			t.Errorf("the role %s has the rules %v", role.Name, role.Rules)
		}
	}
}

// Who may create pods may have Secrets synced, while that gives the same.
func TestWhatEnforcementMeansForSecretsThatAreSynced(t *testing.T) {
	for mode, want := range map[string]bool{"disabled": true, "report": true, "enforce": false} {
		rendered := render(t, "{impersonation: {mode: "+mode+"}, sync: {enabled: true, admissionPolicies: {requester: true}}}")
		validation := policies(t, part(t, rendered, "sync"))["lanyard-sync-requester.secrets"].Spec.Validations[0]
		for what, text := range map[string]string{"expression": validation.Expression, "message": validation.Message + validation.MessageExpression} {
			if got := strings.Contains(text, "pods"); got != want {
				t.Errorf("with %s the %s speaks of pods: %v, want %v", mode, what, got, want)
			}
		}
	}
}

func TestNotesTellThatServiceAccountsAreChecked(t *testing.T) {
	for mode, want := range map[string]string{"report": "audit log", "enforce": "Nobody may make"} {
		if notes := render(t, "impersonation: {mode: "+mode+"}").Notes; !strings.Contains(notes, want) {
			t.Errorf("with %s the notes do not say %q:\n%s", mode, want, notes)
		}
	}
	if notes := render(t, "").Notes; strings.Contains(notes, "verb use") {
		t.Errorf("the notes speak of a policy:\n%s", notes)
	}
}
