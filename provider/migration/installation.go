package migration

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Names of the driver, and of the one that GKE's add-on installs.
// https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component
const (
	driverName    = "secrets-store.csi.k8s.io"
	gkeDriverName = "secrets-store-gke.csi.k8s.io"
	gkeProvider   = "gke"
)

// Installation is what was found in a cluster or in files.
type Installation struct {
	providers []found
	drivers   []driverPods
	csi       []csiDriver
	classes   []Class
	users     []user
	// Foreign are DaemonSets that have a provider's word in an image and are none.
	foreign []string
}

// found is a DaemonSet that runs an original.
type found struct {
	original  *Original
	daemonSet workload
	container container
	// directory is that of the socket on the node.
	directory string
	windows   bool
	// managed names the add-on that owns the DaemonSet.
	managed string
}

func (f *found) String() string { return "DaemonSet " + f.daemonSet.Metadata.String() }

// driverPods is a DaemonSet of the driver.
type driverPods struct {
	daemonSet workload
	flags     map[string]string
}

// Class is a SecretProviderClass.
type Class struct {
	Namespace, Name, Provider string
	Parameters                map[string]string
}

func (c Class) String() string { return "class " + slashed(c.Namespace, c.Name) }

// user is a workload or pod that mounts classes.
type user struct {
	kind, namespace, name, serviceAccount string
	volumes                               []csiVolume
	// owned says that something else made it, such as a Deployment its pods.
	owned bool
}

func (u user) String() string { return u.kind + " " + slashed(u.namespace, u.name) }

// account is the service account of the user's pods.
func (u user) account() string { return slashed(u.namespace, cmp.Or(u.serviceAccount, "default")) }

func slashed(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

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
	pod struct {
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
		Name    string     `json:"name"`
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
			RequiresRepublish bool `json:"requiresRepublish"`
			TokenRequests     []struct {
				Audience string `json:"audience"`
			} `json:"tokenRequests"`
		} `json:"spec"`
	}
)

func (m metadata) String() string { return slashed(m.Namespace, m.Name) }

// Add takes an object of a kind in; decode decodes it into a struct with json tags. An
// object of another kind is passed over.
func (i *Installation) Add(kind string, decode func(any) error) error {
	switch kind {
	case "CSIDriver":
		var d csiDriver
		if err := decode(&d); err != nil {
			return err
		}
		if d.Metadata.Name == driverName || d.Metadata.Name == gkeDriverName {
			i.csi = append(i.csi, d)
		}
	case "Pod":
		var p pod
		if err := decode(&p); err != nil {
			return err
		}
		i.use(kind, p.Metadata, p.Spec)
	case "CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet":
		var w workload
		if err := decode(&w); err != nil {
			return err
		}
		spec := w.Spec.Template.Spec
		if kind == "CronJob" {
			spec = w.Spec.JobTemplate.Spec.Template.Spec
		}
		i.use(kind, w.Metadata, spec)
		if kind == "DaemonSet" {
			i.daemonSet(w)
		}
	}
	return nil
}

// AddClass takes a class in.
func (i *Installation) AddClass(c Class) { i.classes = append(i.classes, c) }

// Empty says that neither a provider nor a class of one was found.
func (i *Installation) Empty() bool {
	return len(i.providers) == 0 && !slices.ContainsFunc(i.classes, func(c Class) bool { return originalOf(c.Provider) != nil })
}

func (i *Installation) use(kind string, meta metadata, spec podSpec) {
	u := user{kind: kind, namespace: meta.Namespace, name: meta.Name, serviceAccount: spec.ServiceAccountName, owned: len(meta.OwnerReferences) > 0}
	for _, v := range spec.Volumes {
		if v.CSI != nil && (v.CSI.Driver == driverName || v.CSI.Driver == gkeDriverName) {
			u.volumes = append(u.volumes, *v.CSI)
		}
	}
	if len(u.volumes) > 0 {
		i.users = append(i.users, u)
	}
}

func (i *Installation) daemonSet(w workload) {
	spec := w.Spec.Template.Spec
	for _, c := range spec.Containers {
		flags, _ := readFlags(c)
		if original := recognise(c, flags); original != nil {
			f := found{original: original, daemonSet: w, container: c, managed: addOn(w, flags)}
			f.windows = spec.NodeSelector["kubernetes.io/os"] == "windows" || strings.Contains(flags[original.Socket.File], `C:\`)
			f.directory = f.onNode(f.socketDirectory(flags))
			i.providers = append(i.providers, f)
			return
		}
		if _, ok := flags["drivername"]; ok || slices.ContainsFunc(imagePath(c.Image), isDriverImage) && flags["provider-volume"] != "" {
			i.drivers = append(i.drivers, driverPods{w, flags})
			return
		}
	}
	for _, c := range spec.Containers {
		if strings.Contains(c.Image, "vault") || strings.Contains(c.Image, "secrets-store") {
			i.foreign = append(i.foreign, w.Metadata.String())
			return
		}
	}
}

func isDriverImage(name string) bool {
	return name == "driver" || strings.HasSuffix(name, "csi-driver")
}

// recognise returns the original that a container runs: by its image, or by its socket
// where the image has a name of somebody's own.
func recognise(c container, flags map[string]string) *Original {
	for i := range originals {
		o := &originals[i]
		if slices.ContainsFunc(imagePath(c.Image), func(name string) bool { return slices.Contains(o.Images, name) }) {
			return o
		}
	}
	for i := range originals {
		o := &originals[i]
		if endpoint := flags[o.Socket.File]; o.Socket.File != "" && path.Base(strings.ReplaceAll(endpoint, `\`, "/")) == o.Provider+".sock" {
			return o
		}
	}
	return nil
}

// imagePath are the elements of an image's path, without tag and digest.
func imagePath(image string) []string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return strings.Split(image, "/")
}

// addOn names the add-on of a cloud that owns the DaemonSet.
func addOn(w workload, flags map[string]string) string {
	switch {
	case w.Metadata.Labels["kubernetes.azure.com/managedby"] == "aks" || strings.HasPrefix(w.Metadata.Name, "aks-secrets-store-provider-azure"):
		return "the add-on azure-keyvault-secrets-provider of AKS"
	case flags["eks-addon-version"] != "":
		return "the add-on aws-secrets-store-csi-driver-provider of EKS"
	case w.Metadata.Labels["addonmanager.kubernetes.io/mode"] != "":
		return "the Secret Manager add-on of GKE"
	}
	return ""
}

// readFlags reads a container's flags: -name=value, --name value, and -name for true. rest
// is what is no flag.
func readFlags(c container) (flags map[string]string, rest []string) {
	flags = map[string]string{}
	words := slices.Concat(c.Command, c.Args)
	for n := 0; n < len(words); n++ {
		name := strings.TrimLeft(words[n], "-")
		if name == words[n] || name == "" {
			rest = append(rest, words[n])
			continue
		}
		name, value, assigned := strings.Cut(name, "=")
		// A flag without a value is true, unless what follows is its value.
		if !assigned {
			value = "true"
			if n+1 < len(words) && !strings.HasPrefix(words[n+1], "-") {
				n++
				value = words[n]
			}
		}
		flags[name] = strings.Trim(value, `"'`)
	}
	return flags, rest
}

// socketDirectory is the directory of the socket in the container.
func (f *found) socketDirectory(flags map[string]string) string {
	s := f.original.Socket
	switch {
	case s.File != "":
		endpoint := strings.TrimPrefix(flags[s.File], "unix://")
		if endpoint == "" {
			return s.Default
		}
		return path.Dir(endpoint)
	case s.Directory != "":
		return cmp.Or(flags[s.Directory], s.Default)
	}
	for _, v := range f.container.Env {
		if v.Name == s.Variable && v.Value != "" {
			return v.Value
		}
	}
	return s.Default
}

// onNode is the path on the node of a path in the container; empty if the container does
// not have it from the node.
func (f *found) onNode(name string) string {
	if v, below := f.volume(name); v != nil && v.HostPath != nil {
		return path.Join(v.HostPath.Path, below)
	}
	return ""
}

// volume returns the volume that a path of the container lies in, and the path below it.
func (f *found) volume(name string) (in *volume, below string) {
	longest := -1
	for _, m := range f.container.Mounts {
		at := path.Clean(m.MountPath)
		rest, inside := strings.CutPrefix(path.Clean(name), at)
		if !inside || rest != "" && !strings.HasPrefix(rest, "/") && at != "/" || len(at) <= longest {
			continue
		}
		for n := range f.daemonSet.Spec.Template.Spec.Volumes {
			if v := &f.daemonSet.Spec.Template.Spec.Volumes[n]; v.Name == m.Name {
				in, below, longest = v, path.Join(m.SubPath, rest), len(at)
			}
		}
	}
	return in, strings.TrimPrefix(below, "/")
}

// version is the version in the image's tag.
func (f *found) version() string {
	image, _, _ := strings.Cut(f.container.Image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return strings.TrimPrefix(image[colon+1:], "v")
	}
	return ""
}

// originalOf returns the original that answers to a provider name of classes.
func originalOf(provider string) *Original {
	if provider == gkeProvider {
		provider = "gcp"
	}
	for i := range originals {
		if originals[i].Provider == provider {
			return &originals[i]
		}
	}
	return nil
}

// classAttribute is the volume attribute that names the class.
const classAttribute = "secretProviderClass"

// className is the class that a volume names.
func (v csiVolume) className() string { return v.Attributes[classAttribute] }

// usersOf are the users of a class.
func (i *Installation) usersOf(c Class) (users []user) {
	for _, u := range i.users {
		if u.namespace == c.Namespace && slices.ContainsFunc(u.volumes, func(v csiVolume) bool { return v.className() == c.Name }) {
			users = append(users, u)
		}
	}
	return users
}

// sort puts everything in an order that does not depend on that of the input, and keeps
// one user where several are the pods of one.
func (i *Installation) sort() {
	place := func(o *Original) int {
		return slices.IndexFunc(originals, func(other Original) bool { return other.Provider == o.Provider })
	}
	slices.SortFunc(i.providers, func(a, b found) int {
		return cmp.Or(cmp.Compare(place(a.original), place(b.original)), cmp.Compare(a.daemonSet.Metadata.String(), b.daemonSet.Metadata.String()))
	})
	i.providers = slices.CompactFunc(i.providers, func(a, b found) bool { return a.daemonSet.Metadata.String() == b.daemonSet.Metadata.String() })
	slices.SortFunc(i.classes, func(a, b Class) int { return cmp.Compare(a.String(), b.String()) })
	// The same object may be in two files.
	i.classes = slices.CompactFunc(i.classes, func(a, b Class) bool { return a.String() == b.String() })
	slices.Sort(i.foreign)
	// What was made by something else comes after what made it, if that is listed.
	slices.SortFunc(i.users, func(a, b user) int {
		if a.owned != b.owned {
			if b.owned {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.String(), b.String())
	})
	seen := map[string]bool{}
	i.users = slices.DeleteFunc(i.users, func(u user) bool {
		key := u.account()
		for _, v := range u.volumes {
			key += "\x00" + v.className()
		}
		double := u.owned && seen[key]
		seen[key] = true
		return double
	})
}
