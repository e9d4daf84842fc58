package sync

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// right is a row of the page's table.
type right struct {
	group, resource, name string
	verbs                 []string
	where, with           string
}

// pageRights are the rows of the table in docs/sync.md.
func pageRights(t *testing.T) []right {
	t.Helper()
	path, err := checkout.Path("docs", "sync.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "<!-- rights -->")
	table, _, found := strings.Cut(table, "<!-- end of rights -->")
	if !found {
		t.Fatal("docs/sync.md has no table between <!-- rights --> and <!-- end of rights -->")
	}
	quoted := func(cell string) (all []string) {
		for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			all = append(all, match[1])
		}
		return append(all, "")
	}
	var rights []right
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || !strings.Contains(cells[2], "`") {
			continue
		}
		named := quoted(cells[2])
		verbs := quoted(cells[3])
		r := right{
			group: quoted(cells[1])[0], resource: named[0], verbs: verbs[:len(verbs)-1],
			where: strings.TrimSpace(cells[4]), with: quoted(cells[5])[0],
		}
		if len(named) == 3 {
			r.name = named[1]
		}
		rights = append(rights, r)
	}
	return rights
}

// TestTheControllerHasTheRightsOfThePageAndNoOthers asks the API server itself.
func TestTheControllerHasTheRightsOfThePageAndNoOthers(t *testing.T) {
	page := pageRights(t)
	if len(page) < 15 {
		t.Fatalf("the page has %d rights", len(page))
	}
	for release, has := range map[string]struct {
		with    []string
		written []string // nil is everywhere
	}{
		plain:   {with: []string{"versionKey.create"}},
		full:    {with: []string{"versionKey.create", "config.policy.readObjects", "sync.secretSyncs.enabled", "sync.restart.enabled"}},
		limited: {written: []string{shop}},
	} {
		for _, namespace := range []string{shop, other, release, metav1.NamespaceSystem} {
			var want []string
			for _, r := range page {
				there := r.where == "cluster" || r.where == "own" && namespace == release ||
					r.where == "written" && (has.written == nil || slices.Contains(has.written, namespace))
				if !there || r.with != "" && !slices.Contains(has.with, r.with) {
					continue
				}
				for _, verb := range r.verbs {
					want = append(want, strings.TrimSpace(strings.Join([]string{verb, r.group + "/" + r.resource, r.name}, " ")))
				}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			eventually(t, func() error {
				got, err := rights(t.Context(), controllers[release], namespace)
				if err != nil {
					return err
				}
				others, err := rights(t.Context(), impersonate(t, "system:serviceaccount:"+shop+":web"), namespace)
				if err != nil {
					return err
				}
				got = slices.DeleteFunc(got, func(one string) bool { return slices.Contains(others, one) })
				if !slices.Equal(got, want) {
					return &differ{release: release, namespace: namespace, got: got, want: want}
				}
				return nil
			})
		}
	}
}

// differ says which rights are not those that are wanted.
type differ struct {
	release, namespace string
	got, want          []string
}

func (d *differ) Error() string {
	without := func(all, those []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(those, one) }), ", ")
	}
	return "the controller of " + d.release + " in namespace " + d.namespace + " has beyond the page: " + without(d.got, d.want) + "; and lacks: " + without(d.want, d.got)
}

// rights is what the API server says that somebody may do in a namespace, each
// as "verb group/resource name". A wildcard is shown as it stands.
func rights(ctx context.Context, who *client, namespace string) ([]string, error) {
	review, err := who.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, rule := range review.Status.ResourceRules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						all = append(all, strings.TrimSpace(verb+" "+group+"/"+resource+" "+name))
					}
				}
			}
		}
	}
	for _, rule := range review.Status.NonResourceRules {
		all = append(all, strings.Join(rule.Verbs, ",")+" "+strings.Join(rule.NonResourceURLs, ","))
	}
	if review.Status.Incomplete {
		all = append(all, "incomplete: "+review.Status.EvaluationError)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Whatever the table says.
func TestNoControllerReadsSecrets(t *testing.T) {
	for release, who := range controllers {
		for _, namespace := range []string{shop, other, release, metav1.NamespaceSystem, metav1.NamespaceAll} {
			secrets := who.CoreV1().Secrets(namespace)
			for what, do := range map[string]try{
				"list": func(ctx context.Context) error { _, err := secrets.List(ctx, metav1.ListOptions{}); return err },
				"watch": func(ctx context.Context) error {
					_, err := secrets.Watch(ctx, metav1.ListOptions{})
					return err
				},
				"update": func(ctx context.Context) error {
					_, err := secrets.Update(ctx, secret("any"), metav1.UpdateOptions{})
					return err
				},
				"deletecollection": func(ctx context.Context) error {
					return secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
				},
			} {
				if what == "update" && namespace == metav1.NamespaceAll {
					continue
				}
				t.Run(release+"/"+namespace+"/"+what, func(t *testing.T) { withoutRight(t, do) })
			}
			if namespace != metav1.NamespaceAll {
				t.Run(release+"/"+namespace+"/get", func(t *testing.T) {
					withoutRight(t, func(ctx context.Context) error { _, err := secrets.Get(ctx, "any", metav1.GetOptions{}); return err })
				})
			}
		}
	}
}

func TestOutsideItsNamespacesALimitedControllerWritesNothing(t *testing.T) {
	who := controllers[limited]
	withoutRight(t, func(ctx context.Context) error {
		_, err := who.CoreV1().Secrets(other).Create(ctx, secret("any"), dryCreate)
		return err
	})
	withoutRight(t, func(ctx context.Context) error { return patch(ctx, who, other, "any", merge, `{}`) })
	withoutRight(t, token(who, other, "web", request("vault-of-prod")))
}
