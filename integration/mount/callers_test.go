package mount

import (
	"maps"
	"testing"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

func TestDriversHealthCheckIsAnsweredWithTheBuildsVersion(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{})
	client, err := n.driver.Get(t.Context(), "lanyard")
	if err != nil {
		t.Fatal(err)
	}
	version, err := secretsstore.Version(t.Context(), client)
	if err != nil || version == "" {
		t.Errorf("Version = %q, %v", version, err)
	}
}

// The sync controller asks for the workload's service account with a pod of
// its own, a path that does not exist, and no credentials.
func TestSyncControllerGetsTheFilesWithoutAVolume(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{})
	n.put(t, "web/db", map[string]any{"value": "synced"})
	web := n.pod(t, "shop", "web")
	web.name, web.uid = "sync-controller", "uid-of-the-controller"
	client, err := n.driver.Get(t.Context(), "lanyard")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Mount(t.Context(), &v1alpha1.MountRequest{
		Attributes: web.attributes(asWeb("[{path: db, store: vault, key: secret/data/web/db, property: value}]")),
		Secrets:    "{}", TargetPath: "/nonexistent/dummy", Permission: "420",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.GetFiles()) != 1 || string(resp.GetFiles()[0].GetContents()) != "synced" || len(resp.GetObjectVersion()) != 1 {
		t.Errorf("%d files and %d versions, want one of each", len(resp.GetFiles()), len(resp.GetObjectVersion()))
	}
	if resp.GetError() != nil {
		t.Error("the response's own error is set, beside which the driver drops the text")
	}
}

// Newer kubelets pass the tokens among the secrets, out of the pod author's
// reach; they win over what the attributes hold.
func TestTokensAmongTheSecretsAreTheOnesUsed(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{vault: "retries: 0"})
	n.put(t, "web/db", map[string]any{"value": "value"})
	web := n.pod(t, "shop", "web")
	web.credentials = map[string]string{"csi.storage.k8s.io/serviceAccount.tokens": mustJSON(web.tokens)}
	web.tokens = n.pod(t, "bank", "web").tokens
	n.mounted(t, web, asWeb("[{path: db, store: vault, key: secret/data/web/db, property: value}]"))
	if got, want := web.holds(t), map[string]string{"db": "value"}; !maps.Equal(got, want) {
		t.Errorf("the volume holds %v, want %v", got, want)
	}
}
