package scenarios

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// Beyond what any service account may, the provider's may make and read the key of
// versions in its own namespace, as docs/install.md says.
func TestProviderHasNoRightsButToItsKey(t *testing.T) {
	s := beside(t)
	set, err := s.Kube.AppsV1().DaemonSets(lab.Namespace).Get(t.Context(), lab.Release, metav1.GetOptions{})
	s.must(err)
	template := set.Spec.Template.Spec
	for _, volume := range template.Volumes {
		if volume.Projected != nil {
			t.Errorf("its pods have the projected volume %s", volume.Name)
		}
	}
	for _, namespace := range []string{lab.Namespace, s.namespace, metav1.NamespaceSystem} {
		may := s.rights(lab.Namespace, template.ServiceAccountName, namespace)
		others := s.rights(s.namespace, account, namespace)
		may = slices.DeleteFunc(may, func(rule string) bool { return slices.Contains(others, rule) })
		var want []string
		if namespace == lab.Namespace {
			want = []string{
				`{"verbs":["create"],"apiGroups":[""],"resources":["secrets"]}`,
				`{"verbs":["get"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["lanyard-version-key"]}`,
			}
		}
		if !slices.Equal(may, want) {
			t.Errorf("in namespace %s it may do %q beyond what any service account may, want %q", namespace, may, want)
		}
	}
}

// With the policies that need rights, the chart gives just those that
// docs/install.md names.
func TestRightsThatPoliciesNeed(t *testing.T) {
	s := alone(t)
	s.atEnd(func(ctx context.Context) error { return s.Helm(ctx) })
	s.must(s.Helm(t.Context(), "config.policy.tokenRequest=true", "config.policy.readObjects=true"))

	may := s.rights(lab.Namespace, lab.Release, s.namespace)
	others := s.rights(s.namespace, account, s.namespace)
	may = slices.DeleteFunc(may, func(rule string) bool { return slices.Contains(others, rule) })
	if want := []string{
		`{"verbs":["create"],"apiGroups":[""],"resources":["serviceaccounts/token"]}`,
		`{"verbs":["get"],"apiGroups":[""],"resources":["serviceaccounts","nodes"]}`,
	}; !slices.Equal(may, want) {
		t.Errorf("beyond what any service account may it may do %q, not %q", may, want)
	}
}

// rights is what the API server says that a service account may do in a
// namespace, each rule as JSON.
func (s *scenario) rights(of, account, in string) (rules []string) {
	s.t.Helper()
	token, err := s.Kube.CoreV1().ServiceAccounts(of).CreateToken(s.t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	s.must(err)
	config, err := s.Config()
	s.must(err)
	config = restclient.AnonymousClientConfig(config)
	config.BearerToken = token.Status.Token
	client, err := kubernetes.NewForConfig(config)
	s.must(err)
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(s.t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: in},
	}, metav1.CreateOptions{})
	s.must(err)
	if review.Status.Incomplete {
		s.t.Errorf("the review is not complete: %s", review.Status.EvaluationError)
	}
	for _, rule := range review.Status.ResourceRules {
		rules = append(rules, s.json(rule))
	}
	for _, rule := range review.Status.NonResourceRules {
		rules = append(rules, s.json(rule))
	}
	slices.Sort(rules)
	return rules
}

func (s *scenario) json(value any) string {
	s.t.Helper()
	text, err := json.Marshal(value)
	s.must(err)
	return string(text)
}
