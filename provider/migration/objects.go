package migration

// What is looked at of Kubernetes objects. Only the command line and the front doors know
// the API's own types; these take whatever else an object holds.
type (
	metadata struct {
		Namespace       string            `json:"namespace"`
		Name            string            `json:"name"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
		OwnerReferences []struct {
			Kind string `json:"kind"`
		} `json:"ownerReferences"`
	}
	workload struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Template    podTemplate `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template podTemplate `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	podTemplate struct {
		Metadata metadata `json:"metadata"`
		Spec     podSpec  `json:"spec"`
	}
	podSpec struct {
		ServiceAccountName string            `json:"serviceAccountName"`
		NodeSelector       map[string]string `json:"nodeSelector"`
		HostNetwork        bool              `json:"hostNetwork"`
		Containers         []container       `json:"containers"`
		Volumes            []volume          `json:"volumes"`
	}
	container struct {
		Image   string     `json:"image"`
		Command []string   `json:"command"`
		Args    []string   `json:"args"`
		Env     []variable `json:"env"`
		EnvFrom []any      `json:"envFrom"`
		// SecurityContext says whom the socket's directory belongs to.
		SecurityContext struct {
			RunAsUser int64 `json:"runAsUser"`
		} `json:"securityContext"`
		Mounts []struct {
			Name      string `json:"name"`
			MountPath string `json:"mountPath"`
			SubPath   string `json:"subPath"`
		} `json:"volumeMounts"`
	}
	variable struct {
		Name      string         `json:"name"`
		Value     string         `json:"value"`
		ValueFrom map[string]any `json:"valueFrom"`
	}
	volume struct {
		Name     string `json:"name"`
		HostPath *struct {
			Path string `json:"path"`
		} `json:"hostPath"`
		ConfigMap *struct {
			Name  string `json:"name"`
			Items []item `json:"items"`
		} `json:"configMap"`
		Secret *struct {
			SecretName string `json:"secretName"`
			Items      []item `json:"items"`
		} `json:"secret"`
		CSI *csiVolume `json:"csi"`
	}
	// item is a key that a volume shows by another path.
	item struct {
		Key  string `json:"key"`
		Path string `json:"path"`
	}
	csiVolume struct {
		Driver               string            `json:"driver"`
		Attributes           map[string]string `json:"volumeAttributes"`
		NodePublishSecretRef *struct {
			Name string `json:"name"`
		} `json:"nodePublishSecretRef"`
	}
	csiDriver struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			TokenRequests []struct {
				Audience string `json:"audience"`
			} `json:"tokenRequests"`
		} `json:"spec"`
	}
)

func (m metadata) String() string { return slashed(m.Namespace, m.Name) }

// classAttribute is the volume attribute that names the class.
const classAttribute = "secretProviderClass"

// className is the class that a volume names.
func (v csiVolume) className() string { return v.Attributes[classAttribute] }
