package sync

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	managedByDriver = "secrets-store.csi.k8s.io/managed"
	ofSyncUpstream  = "secrets-store.sync.x-k8s.io"
	syncedFrom      = "lanyard.dev/synced-from"
)

// The kinds of patch.
const (
	merge  = types.MergePatchType
	json   = types.JSONPatchType
	apply  = types.ApplyPatchType
	strict = types.StrategicMergePatchType
)

// patch patches a Secret as a dry run.
func patch(ctx context.Context, who *client, namespace, name string, kind types.PatchType, body string) error {
	options := dryPatch
	if kind == apply {
		force := true
		options.Force = &force
	}
	_, err := who.CoreV1().Secrets(namespace).Patch(ctx, name, kind, []byte(body), options)
	return err
}

// secret is a Secret of the namespace shop.
func secret(name string, change ...func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: shop}}
	for _, each := range change {
		each(s)
	}
	return s
}

func labelled(name, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, name, value) }
}

func ofType(kind corev1.SecretType) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.Type = kind
		s.Data = map[string][]byte{
			corev1.TLSCertKey: nil, corev1.TLSPrivateKeyKey: nil, corev1.SSHAuthPrivateKey: []byte("key"),
			corev1.BasicAuthUsernameKey: nil, corev1.DockerConfigJsonKey: []byte("{}"),
		}
		if kind == corev1.SecretTypeServiceAccountToken {
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "web"}
		}
	}
}

func ownedBy(apiVersion, kind, name string, uid types.UID) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		s.OwnerReferences = append(s.OwnerReferences, metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid})
	}
}

const (
	classVersion = "secrets-store.csi.x-k8s.io/v1"
	syncVersion  = "secret-sync.x-k8s.io/v1alpha1"
)

// synced is what the controller makes of a class.
func synced(uid types.UID) func(*corev1.Secret) {
	return func(s *corev1.Secret) {
		labelled(syncedFrom, string(uid))(s)
		ownedBy(classVersion, "SecretProviderClass", "web", uid)(s)
	}
}

func TestSecretsThatTheControllerMayMake(t *testing.T) {
	const uid = "11111111-1111-1111-1111-111111111111"
	who := controllers[full]
	create := func(who *client, s *corev1.Secret) try {
		return func(ctx context.Context) error {
			_, err := who.CoreV1().Secrets(s.Namespace).Create(ctx, s, dryCreate)
			return err
		}
	}
	fromClass := synced(uid)
	for name, s := range map[string]*corev1.Secret{
		"of a class":             secret("new", fromClass),
		"kubernetes.io/tls":      secret("new", fromClass, ofType(corev1.SecretTypeTLS)),
		"dockerconfigjson":       secret("new", fromClass, ofType(corev1.SecretTypeDockerConfigJson)),
		"basic-auth":             secret("new", fromClass, ofType(corev1.SecretTypeBasicAuth)),
		"ssh-auth":               secret("new", fromClass, ofType(corev1.SecretTypeSSHAuth)),
		"of a class of v1alpha1": secret("new", labelled(syncedFrom, uid), ownedBy("secrets-store.csi.x-k8s.io/v1alpha1", "SecretProviderClass", "web", uid)),
		"of a SecretSync":        secret("new", labelled(syncedFrom, uid), labelled(ofSyncUpstream, ""), ownedBy(syncVersion, "SecretSync", "new", uid)),
		"with another owner too": secret("new", fromClass, ownedBy("v1", "ConfigMap", "config", "22222222-2222-2222-2222-222222222222")),
	} {
		t.Run("accepted: "+name, func(t *testing.T) { accepted(t, create(who, s)) })
	}
	const own, kind = "writes only Secrets with the label lanyard.dev/synced-from", "may not write Secrets of type "
	for name, test := range map[string]struct {
		secret *corev1.Secret
		want   string
	}{
		"without anything":                {secret("new"), own},
		"without a label":                 {secret("new", ownedBy(classVersion, "SecretProviderClass", "web", uid)), own},
		"with an empty label":             {secret("new", labelled(syncedFrom, ""), ownedBy(classVersion, "SecretProviderClass", "web", uid)), own},
		"without an owner":                {secret("new", labelled(syncedFrom, uid)), own},
		"with another UID":                {secret("new", labelled(syncedFrom, uid), ownedBy(classVersion, "SecretProviderClass", "web", "33333333-3333-3333-3333-333333333333")), own},
		"of another kind":                 {secret("new", labelled(syncedFrom, uid), ownedBy("apps/v1", "Deployment", "web", uid)), own},
		"of another group":                {secret("new", labelled(syncedFrom, uid), ownedBy("example.com/v1", "SecretProviderClass", "web", uid)), own},
		"of a group that begins likewise": {secret("new", labelled(syncedFrom, uid), ownedBy("secrets-store.csi.x-k8s.io.example.com/v1", "SecretProviderClass", "web", uid)), own},
		"of a SecretSync of another name": {secret("new", labelled(syncedFrom, uid), ownedBy(syncVersion, "SecretSync", "other", uid)), own},
		"service-account-token":           {secret("new", fromClass, ofType(corev1.SecretTypeServiceAccountToken)), kind + "kubernetes.io/service-account-token"},
		"bootstrap token":                 {secret("bootstrap-token-abcdef", fromClass, ofType(corev1.SecretTypeBootstrapToken)), kind + "bootstrap.kubernetes.io/token"},
		"dockercfg": {secret("new", fromClass, func(s *corev1.Secret) {
			s.Type = corev1.SecretTypeDockercfg
			s.Data = map[string][]byte{corev1.DockerConfigKey: []byte("{}")}
		}), kind},
		"a type of its own":         {secret("new", fromClass, ofType("example.com/licence")), kind + "example.com/licence"},
		"the version key elsewhere": {secret("lanyard-version-key"), own},
	} {
		t.Run("refused: "+name, func(t *testing.T) { refused(t, full, "secrets", test.want, create(who, test.secret)) })
	}
	t.Run("types that the operator adds", func(t *testing.T) {
		accepted(t, create(controllers[limited], secret("new", fromClass, ofType("example.com/licence"))))
		refused(t, limited, "secrets", kind, create(controllers[limited], secret("new", fromClass, ofType(corev1.SecretTypeTLS))))
	})
	t.Run("by server-side apply", func(t *testing.T) {
		body := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"new","labels":{"lanyard.dev/synced-from":"%[1]s"},"ownerReferences":[{"apiVersion":"secrets-store.csi.x-k8s.io/v1","kind":"SecretProviderClass","name":"web","uid":"%[2]s"}]}}`
		accepted(t, func(ctx context.Context) error {
			return patch(ctx, who, shop, "new", apply, fmt.Sprintf(body, uid, uid))
		})
		refused(t, full, "secrets", own, func(ctx context.Context) error {
			return patch(ctx, who, shop, "new", apply, fmt.Sprintf(body, "other", uid))
		})
	})
}

func TestTheKeyOfVersionsCanBeMadeAndNothingElse(t *testing.T) {
	who := controllers[full]
	key := secret("lanyard-version-key", func(s *corev1.Secret) { s.Namespace = full })
	create := func(who *client, s *corev1.Secret) try {
		return func(ctx context.Context) error {
			_, err := who.CoreV1().Secrets(s.Namespace).Create(ctx, s, dryCreate)
			return err
		}
	}
	accepted(t, create(who, key))
	typed := key.DeepCopy()
	ofType(corev1.SecretTypeServiceAccountToken)(typed)
	refused(t, full, "secrets", "", create(who, typed))
	named := key.DeepCopy()
	named.Name = "another"
	refused(t, full, "secrets", "", create(who, named))

	newSecret(t, key)
	t.Cleanup(func() { remove(t, full, key.Name) })
	accepted(t, func(ctx context.Context) error {
		_, err := who.CoreV1().Secrets(full).Get(ctx, key.Name, metav1.GetOptions{})
		return err
	})
	refused(t, full, "secrets", "", func(ctx context.Context) error {
		return patch(ctx, who, full, key.Name, merge, `{"data":{"key":"AAAA"}}`)
	})
	refused(t, full, "secrets", "", func(ctx context.Context) error { return patch(ctx, who, full, key.Name, merge, `{}`) })
	refused(t, full, "secrets", "", deletion(who, full, key.Name))
	// Who makes the key by hand gives no right to make it.
	withoutRight(t, create(controllers[limited], secret("lanyard-version-key", func(s *corev1.Secret) { s.Namespace = limited })))
}

func deletion(who *client, namespace, name string) try {
	return func(ctx context.Context) error {
		return who.CoreV1().Secrets(namespace).Delete(ctx, name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	}
}

// remove deletes a Secret at the end of a test.
func remove(t *testing.T, namespace, name string) {
	t.Helper()
	if err := admin.CoreV1().Secrets(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func TestSecretsThatTheControllerMayChange(t *testing.T) {
	who := controllers[full]
	uid, another := newClass(t, "changed"), newClass(t, "another")
	for _, s := range []*corev1.Secret{
		secret("own", synced(uid)),
		secret("own-of-sync", labelled(syncedFrom, string(another)), labelled(ofSyncUpstream, ""), ownedBy(syncVersion, "SecretSync", "own-of-sync", another)),
		secret("own-and-managed", synced(another), labelled(managedByDriver, "true")),
		secret("without-label", ownedBy(classVersion, "SecretProviderClass", "web", uid)),
		secret("wrong-label", labelled(syncedFrom, "changed-by-hand"), ownedBy(classVersion, "SecretProviderClass", "web", uid)),
		secret("without-owner", labelled(syncedFrom, string(uid))),
		secret("upstream-owned", labelled(ofSyncUpstream, ""), ownedBy(syncVersion, "SecretSync", "upstream-owned", another)),
		secret("foreign-owned", ownedBy("v1", "ConfigMap", "web", uid)),
		secret("foreign"),
		secret("foreign-labelled", labelled("app", "shop")),
		secret("driver", labelled(managedByDriver, "true")),
		secret("not-driver", labelled(managedByDriver, "false")),
		secret("upstream", labelled(ofSyncUpstream, "")),
		secret("upstream-prefix", labelled(ofSyncUpstream+"/secretsync", "x")),
	} {
		newSecret(t, s)
		t.Cleanup(func() { remove(t, shop, s.Name) })
	}
	// write is what the controller writes, on behalf of an owner.
	write := func(owner types.UID) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"labels":{"lanyard.dev/synced-from":"%[1]s"},"ownerReferences":[{"apiVersion":"secrets-store.csi.x-k8s.io/v1","kind":"SecretProviderClass","name":"web","uid":"%[1]s"}]},"data":{"password":"bmV3"}}`, owner)
	}
	test := func(label, value string) string {
		return fmt.Sprintf(`[{"op":"test","path":"/metadata/labels/%s","value":"%s"}]`, strings.ReplaceAll(label, "/", "~1"), value)
	}
	type change struct {
		name string
		kind types.PatchType
		body string
	}
	for what, c := range map[string]change{
		"its own":                                               {"own", apply, write(uid)},
		"its own, by another patch":                             {"own", merge, `{"data":{"password":"bmV3"}}`},
		"nothing of its own":                                    {"own", json, test(syncedFrom, string(uid))},
		"a copy of the driver's":                                {"driver", apply, write(uid)},
		"a copy of the sync controller's":                       {"upstream", apply, write(uid)},
		"its own, whose label is gone":                          {"without-label", apply, write(uid)},
		"its own, whose label changed":                          {"wrong-label", apply, write(uid)},
		"its own, whose owner is gone":                          {"without-owner", apply, write(uid)},
		"nothing of a sync controller's that a SecretSync owns": {"upstream-owned", json, `[{"op":"test","path":"/metadata/ownerReferences/0/uid","value":"` + string(another) + `"}]`},
		"nothing of the driver's":                               {"driver", json, test(managedByDriver, "true")},
		"nothing of the sync controller's":                      {"upstream", json, test(ofSyncUpstream, "")},
	} {
		t.Run("accepted: "+what, func(t *testing.T) {
			accepted(t, func(ctx context.Context) error { return patch(ctx, who, shop, c.name, c.kind, c.body) })
		})
	}
	const foreign, own = "changes and deletes only the Secrets that it made itself", "writes only Secrets with the label"
	for what, c := range map[string]struct {
		change
		want string
	}{
		"another's":                           {change{"foreign", apply, write(uid)}, foreign},
		"nothing of another's, merged":        {change{"foreign", merge, `{}`}, foreign},
		"nothing of another's, as operations": {change{"foreign", json, `[]`}, foreign},
		"nothing of another's, applied":       {change{"foreign", apply, `{"apiVersion":"v1","kind":"Secret"}`}, foreign},
		"nothing of another's, strategically": {change{"foreign", strict, `{}`}, foreign},
		"an annotation of another's":          {change{"foreign", merge, `{"metadata":{"annotations":{"a":"b"}}}`}, foreign},
		"another's with other labels":         {change{"foreign-labelled", json, test("app", "shop")}, foreign},
		"another's, labelled as its own":      {change{"foreign", merge, `{"metadata":{"labels":{"lanyard.dev/synced-from":"x"}}}`}, foreign},
		"another's, labelled as the driver's": {change{"foreign", merge, `{"metadata":{"labels":{"secrets-store.csi.k8s.io/managed":"true"}}}`}, foreign},
		"what is not the driver's":            {change{"not-driver", apply, write(uid)}, foreign},
		"a label that begins likewise":        {change{"upstream-prefix", apply, write(uid)}, foreign},
		"what it made for another class":      {change{"own", apply, write(another)}, foreign},
		"what it made for a SecretSync":       {change{"own-of-sync", apply, write(uid)}, foreign},
		"what it took over for another class": {change{"own-and-managed", apply, write(uid)}, foreign},
		"what has an owner of another kind":   {change{"foreign-owned", apply, write(uid)}, foreign},
		"nothing of what has such an owner":   {change{"foreign-owned", merge, `{}`}, foreign},
		"what belongs to another SecretSync":  {change{"upstream-owned", apply, write(uid)}, foreign},
		"another's, without a label":          {change{"without-label", apply, write(another)}, foreign},
		"the label of its own":                {change{"own", merge, `{"metadata":{"labels":{"lanyard.dev/synced-from":null}}}`}, foreign},
		"the owner of its own":                {change{"own", merge, `{"metadata":{"ownerReferences":null}}`}, own},
		"the driver's, and leaves it there":   {change{"driver", merge, `{"data":{"password":"bmV3"}}`}, own},
		"an annotation of the driver's":       {change{"driver", merge, `{"metadata":{"annotations":{"a":"b"}}}`}, own},
	} {
		t.Run("refused: "+what, func(t *testing.T) {
			refused(t, full, "secrets", c.want, func(ctx context.Context) error { return patch(ctx, who, shop, c.name, c.kind, c.body) })
		})
	}
	t.Run("a test that fails is no refusal", func(t *testing.T) {
		err := patch(t.Context(), who, shop, "foreign", json, test(syncedFrom, string(uid)))
		if !apierrors.IsInvalid(err) || strings.Contains(err.Error(), value) {
			t.Errorf("the answer is %v", err)
		}
	})
	for _, name := range []string{"own", "own-of-sync", "own-and-managed", "without-label", "driver", "upstream", "upstream-owned"} {
		t.Run("accepted: deleting "+name, func(t *testing.T) { accepted(t, deletion(who, shop, name)) })
	}
	for _, name := range []string{"foreign", "foreign-labelled", "foreign-owned", "not-driver", "upstream-prefix"} {
		t.Run("refused: deleting "+name, func(t *testing.T) { refused(t, full, "secrets", foreign, deletion(who, shop, name)) })
	}
	t.Run("deleting its own in earnest, and no other of the name", func(t *testing.T) {
		secrets := who.CoreV1().Secrets(shop)
		wrong := types.UID("44444444-4444-4444-4444-444444444444")
		if err := secrets.Delete(t.Context(), "own", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}); !apierrors.IsConflict(err) {
			t.Errorf("with another UID the answer is %v", err)
		}
		if err := secrets.Delete(t.Context(), "own", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("the policies of one controller are not another's", func(t *testing.T) {
		accepted(t, func(ctx context.Context) error {
			return patch(ctx, admin, shop, "foreign", merge, `{"data":{"password":"bmV3"}}`)
		})
	})
}
