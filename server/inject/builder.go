package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// builder is a pod that is being changed.
type builder struct {
	Options
	pod       *core.Pod
	namespace string
	again     bool // the webhook had the pod before
	leading   int  // init containers of ours that stand before all others
	carries   bool // lanyard-exec is in the pod

	added      map[string]bool // volumes of this run
	references references
	akv        []string // containers with references of akv2k8s
	nativeEnv  []string // containers with variables by Lanyard's own annotations

	annotations        map[string]string
	problems, warnings []string
}

// Where things are in containers.
const (
	execDir     = "/lanyard"
	execPath    = execDir + "/lanyard-exec"
	copyDir     = "/copy"    // of the container that copies, whose image has a file at execDir
	agentPath   = "/lanyard" // of the image's own root
	execVolume  = "lanyard-exec"
	copyName    = "lanyard-copy"
	textsDir    = "/etc/lanyard/pod"
	tokensDir   = "/var/run/secrets/lanyard.dev/tokens"
	accountDir  = "/var/run/secrets/kubernetes.io/serviceaccount"
	defaultUser = 65532
)

// given refuses what an agent would refuse of what it is given. key names where it comes from.
func (b *builder) given(key string, given Given) {
	if b.Agent == nil || len(b.problems) > 0 {
		return // what is wrong already may be the cause
	}
	for _, problem := range b.Agent(given) {
		b.problem("%s: %s", key, shown(problem))
	}
}

// conclude sorts what is told.
func (b *builder) conclude() {
	slices.Sort(b.problems)
	slices.Sort(b.warnings)
}

// all are the pod's init containers and containers that are not the webhook's own.
func (b *builder) all() []*core.Container {
	var found []*core.Container
	for _, list := range [][]core.Container{b.pod.Spec.InitContainers, b.pod.Spec.Containers} {
		for i := range list {
			if !own(&list[i]) {
				found = append(found, &list[i])
			}
		}
	}
	return found
}

// own says whether a container is the webhook's, by its name.
func own(c *core.Container) bool {
	return c.Name == copyName || slices.Contains(agentNames, c.Name) || strings.HasPrefix(c.Name, referencesPrefix)
}

// isInit says whether a container is an init container that ends before the others start.
func (b *builder) isInit(c *core.Container) bool {
	return slices.ContainsFunc(b.pod.Spec.InitContainers, func(other core.Container) bool { return other.Name == c.Name })
}

// volume adds a volume.
func (b *builder) volume(v core.Volume) {
	switch taken := slices.ContainsFunc(b.pod.Spec.Volumes, func(other core.Volume) bool { return other.Name == v.Name }); {
	case b.added[v.Name]:
	case !taken:
		b.pod.Spec.Volumes = append(b.pod.Spec.Volumes, v)
		b.added[v.Name] = true
	case !b.again:
		b.problem("volume %s: the name is needed for a volume that is added; rename the pod's own", v.Name)
	}
}

// initContainer adds an init container: after those that were added as first and before all
// others, or after all.
func (b *builder) initContainer(c core.Container, first bool) {
	named := func(other core.Container) bool { return other.Name == c.Name }
	switch {
	case slices.ContainsFunc(b.pod.Spec.InitContainers, named) && b.again:
		return
	case slices.ContainsFunc(b.pod.Spec.InitContainers, named), slices.ContainsFunc(b.pod.Spec.Containers, named):
		b.problem("container %s: the name is needed for a container that is added; rename the pod's own", c.Name)
		return
	}
	at := len(b.pod.Spec.InitContainers)
	if first {
		at = b.leading
		b.leading++
	}
	b.pod.Spec.InitContainers = slices.Insert(b.pod.Spec.InitContainers, at, c)
}

// mount mounts a volume in a container. remedy says how another path is chosen.
func (b *builder) mount(container string, m core.VolumeMount, remedy string) {
	c := b.container(container)
	for _, other := range c.VolumeMounts {
		switch {
		case other.Name == m.Name && other.MountPath == m.MountPath:
			return
		case path.Clean(other.MountPath) == path.Clean(m.MountPath):
			b.problem("container %s: has volume %s at %s already; %s", container, other.Name, m.MountPath, remedy)
			return
		}
	}
	c.VolumeMounts = append(c.VolumeMounts, m)
}

// container is the container of the name, which there is.
func (b *builder) container(name string) *core.Container {
	for _, list := range [][]core.Container{b.pod.Spec.InitContainers, b.pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return &core.Container{}
}

// wrap has lanyard-exec start the container's command, with arguments of its own, and with
// probes also what the kubelet runs in the container. The arguments are literal. leaveOut
// says how the container can be left alone.
func (b *builder) wrap(name string, args []string, probes bool, leaveOut string) {
	if len(b.container(name).Command) == 0 {
		b.problem("container %s: has no command that secrets could be given to; write the entrypoint of its image as command, or %s", name, leaveOut)
		return
	}
	b.mount(name, core.VolumeMount{Name: execVolume, MountPath: execDir, ReadOnly: true}, "lanyard-exec needs it; mount that volume elsewhere")
	b.carry()
	c := b.container(name) // carry may have moved it
	wrapped := func(command, args []string) []string {
		if len(command) == 0 || command[0] == execPath {
			return command
		}
		return slices.Concat([]string{execPath}, args, []string{"--"}, command)
	}
	c.Command = wrapped(c.Command, literal(args...))
	if !probes {
		return
	}
	for _, probe := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil && probe.Exec != nil {
			probe.Exec.Command = wrapped(probe.Exec.Command, literal(args...))
		}
	}
	if c.Lifecycle == nil {
		return
	}
	for _, hook := range []*core.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
		if hook != nil && hook.Exec != nil {
			// The kubelet expands nothing in hooks:
			// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/lifecycle/handlers.go
			hook.Exec.Command = wrapped(hook.Exec.Command, args)
		}
	}
}

// literal are arguments that the kubelet, which expands variables in them, gives to the
// process as they are here: $$ becomes $ wherever it stands.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/third_party/forked/golang/expansion/expand.go
func literal(args ...string) []string {
	all := make([]string, 0, len(args))
	for _, arg := range args {
		all = append(all, strings.ReplaceAll(arg, "$", "$$"))
	}
	return all
}

// carry brings lanyard-exec into the pod, once.
func (b *builder) carry() {
	if b.carries {
		return
	}
	b.carries = true
	if b.ImageVolumes {
		b.volume(core.Volume{Name: execVolume, VolumeSource: core.VolumeSource{Image: &core.ImageVolumeSource{Reference: b.Image, PullPolicy: b.pullPolicy()}}})
		return
	}
	b.volume(memory(execVolume, "16Mi"))
	c := b.ours(copyName, []string{"/lanyard-exec"}, []string{"--copy-to=" + copyDir + "/lanyard-exec"}, defaultUser)
	c.Resources = resources("5m", "16Mi", "32Mi")
	c.VolumeMounts = []core.VolumeMount{{Name: execVolume, MountPath: copyDir}}
	b.initContainer(c, true)
}

func (b *builder) pullPolicy() core.PullPolicy {
	if b.PullPolicy != "" {
		return b.PullPolicy
	}
	return core.PullIfNotPresent
}

// ours is a container that runs the image; its arguments are literal. It passes the restricted profile of Pod
// Security: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func (b *builder) ours(name string, command, args []string, user int64) core.Container {
	no, yes := false, true
	return core.Container{
		Name: name, Image: b.Image, ImagePullPolicy: b.pullPolicy(), Command: command, Args: literal(args...),
		Resources: *b.Resources.DeepCopy(),
		SecurityContext: &core.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, RunAsNonRoot: &yes, RunAsUser: &user,
			Capabilities:   &core.Capabilities{Drop: []core.Capability{"ALL"}},
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault},
		},
		TerminationMessagePolicy: core.TerminationMessageFallbackToLogsOnError,
	}
}

// memory is a volume in memory.
func memory(name, size string) core.Volume {
	limit := resource.MustParse(size)
	return core.Volume{Name: name, VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{Medium: core.StorageMediumMemory, SizeLimit: &limit}}}
}

// resources are requests and the limit of memory.
func resources(cpu, request, limit string) core.ResourceRequirements {
	return core.ResourceRequirements{
		Requests: core.ResourceList{core.ResourceCPU: resource.MustParse(cpu), core.ResourceMemory: resource.MustParse(request)},
		Limits:   core.ResourceList{core.ResourceMemory: resource.MustParse(limit)},
	}
}

// DefaultResources are those of agents unless the operator says otherwise.
func DefaultResources() core.ResourceRequirements { return resources("10m", "48Mi", "128Mi") }

// userOf is the user of a container, who reads what an agent writes for it; nobody in
// particular for root, who may read everything.
func (b *builder) userOf(c *core.Container) int64 {
	for _, user := range []*int64{containerUser(c), podUser(b.pod)} {
		if user != nil {
			if *user == 0 {
				return defaultUser
			}
			return *user
		}
	}
	return defaultUser
}

func containerUser(c *core.Container) *int64 {
	if c.SecurityContext == nil {
		return nil
	}
	return c.SecurityContext.RunAsUser
}

func podUser(pod *core.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.RunAsUser
}

// named is a name for an object of the pod that belongs to one of its containers. It is at
// most 63 characters long.
func named(before, container string) string {
	if len(before)+len(container) <= 63 {
		return before + container
	}
	sum := sha256.Sum256([]byte(container))
	return (before + container)[:54] + "-" + hex.EncodeToString(sum[:])[:8]
}

// account is a volume with the pod's token for the API server, for pods whose service
// account is not mounted too.
// https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
func account(name string) core.Volume {
	seconds, mode := int64(3607), int32(0o644)
	return core.Volume{Name: name, VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{DefaultMode: &mode, Sources: []core.VolumeProjection{
		{ServiceAccountToken: &core.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
		{ConfigMap: &core.ConfigMapProjection{LocalObjectReference: core.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []core.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		{DownwardAPI: &core.DownwardAPIProjection{Items: []core.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &core.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}}},
	}}}}
}

// texts is a volume with annotations of the pod, by the name of the file.
func texts(name string, files map[string]string) core.Volume {
	mode := int32(0o644)
	v := core.Volume{Name: name, VolumeSource: core.VolumeSource{DownwardAPI: &core.DownwardAPIVolumeSource{DefaultMode: &mode}}}
	for _, file := range sortedKeys(files) {
		v.DownwardAPI.Items = append(v.DownwardAPI.Items, core.DownwardAPIVolumeFile{
			Path: file, FieldRef: &core.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + files[file] + "']"},
		})
	}
	return v
}
