package migration

import (
	"cmp"
	"slices"
	"strings"
)

// The names of the driver, and of the one that GKE's add-on installs.
// https://cloud.google.com/secret-manager/docs/secret-manager-managed-csi-component
const (
	driverName    = "secrets-store.csi.k8s.io"
	gkeDriverName = "secrets-store-gke.csi.k8s.io"
)

// Installation is what was found in a cluster or in files.
type Installation struct {
	providers []*found
	drivers   []driverPods
	csi       []csiDriver
	classes   []Class
	users     []user
	// Foreign are DaemonSets that have a provider's word in an image and are none.
	foreign []string
}

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
		var p podTemplate
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
		flags := readFlags(c)
		if original := recognise(c, flags); original != nil {
			f := &found{original: original, daemonSet: w, container: c, managed: addOn(w, flags)}
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
		if strings.Contains(c.Image, "vault") || strings.Contains(c.Image, "openbao") || strings.Contains(c.Image, "secrets-store") {
			i.foreign = append(i.foreign, w.Metadata.String())
			return
		}
	}
}

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
	slices.SortFunc(i.providers, func(a, b *found) int {
		return cmp.Or(cmp.Compare(slices.Index(originals(), a.original), slices.Index(originals(), b.original)), cmp.Compare(a.daemonSet.Metadata.String(), b.daemonSet.Metadata.String()))
	})
	i.providers = slices.CompactFunc(i.providers, func(a, b *found) bool { return a.daemonSet.Metadata.String() == b.daemonSet.Metadata.String() })
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
