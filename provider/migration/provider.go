package migration

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

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

func isDriverImage(name string) bool {
	return name == "driver" || strings.HasSuffix(name, "csi-driver")
}

// recognise returns the original that a container runs: by its image, or by its socket
// where the image has a name of somebody's own.
func recognise(c container, flags map[string]string) *Original {
	for _, o := range originals() {
		if slices.ContainsFunc(imagePath(c.Image), func(name string) bool { return slices.Contains(o.Images, name) }) {
			return o
		}
	}
	for _, o := range originals() {
		if endpoint := flags[o.Socket.File]; o.Socket.File != "" && path.Base(strings.ReplaceAll(endpoint, `\`, "/")) == o.Provider+".sock" {
			return o
		}
	}
	return nil
}

// imagePath are the elements of an image's path.
func imagePath(image string) []string {
	name, _ := splitImage(image)
	return strings.Split(name, "/")
}

// splitImage cuts an image into its path and its tag, without the digest.
func splitImage(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[:colon], image[colon+1:]
	}
	return image, ""
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

// readFlags reads a container's flags: -name=value, --name value, and -name for true.
func readFlags(c container) map[string]string {
	flags := map[string]string{}
	words := slices.Concat(c.Command, c.Args)
	for n := 0; n < len(words); n++ {
		name := strings.TrimLeft(words[n], "-")
		if name == words[n] || name == "" {
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
	return flags
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
	_, tag := splitImage(f.container.Image)
	return strings.TrimPrefix(tag, "v")
}
