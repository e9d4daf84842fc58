package inject

import (
	"strconv"

	core "k8s.io/api/core/v1"
)

// token is a token of the pod in a volume of agents.
type token struct {
	// store is the audience that a store asks for.
	store string
	// audience is that of the token; empty is the API server's own.
	audience string
}

// tokens is a volume with tokens of the pod, and the flags that name them.
func tokens(name string, all []token) (core.Volume, []string) {
	seconds, mode := int64(3600), int32(0o644)
	v := core.Volume{Name: name, VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{DefaultMode: &mode}}}
	var flags []string
	for i, t := range all {
		file := strconv.Itoa(i)
		v.Projected.Sources = append(v.Projected.Sources, core.VolumeProjection{ServiceAccountToken: &core.ServiceAccountTokenProjection{Audience: t.audience, ExpirationSeconds: &seconds, Path: file}})
		flags = append(flags, "--token="+t.store+"="+tokensDir+"/"+file)
	}
	return v, flags
}

// agent is an agent that is put into a pod.
type agent struct {
	// name is that of the container.
	name string
	// volumes is how the names of its volumes begin; empty for name.
	volumes string
	// stays has the agent keep the files as their stores have them.
	stays bool
	// waits has the other containers start when the files are there.
	waits bool
	first bool
	// target is where the files go; empty for none.
	target string
	args   []string
	tokens []token
	// texts are the agent's texts, by file: the annotation that each comes from.
	texts map[string]string
	// account says that the agent reads from the API server.
	account bool
	user    *int64 // nil leaves it to the platform
	group   *int64
	// more changes the container at last.
	more func(*core.Container)
}

// addAgent puts an agent into the pod. Its files are in the volume that is named.
func (b *builder) addAgent(a agent, volume string, mount core.VolumeMount) {
	if a.volumes == "" {
		a.volumes = a.name
	}
	mounts := []core.VolumeMount{mount}
	args := []string{"agent"}
	if a.target != "" {
		args = append(args, "--target="+a.target)
	}
	args = append(args, a.args...)
	if !a.stays {
		args = append(args, "--once")
	}
	b.volume(memory(volume, "16Mi"))
	if len(a.tokens) > 0 {
		v, flags := tokens(a.volumes+"-tokens", a.tokens)
		b.volume(v)
		args = append(args, flags...)
		mounts = append(mounts, core.VolumeMount{Name: v.Name, MountPath: tokensDir, ReadOnly: true})
	}
	if len(a.texts) > 0 {
		v := texts(a.volumes+"-pod", a.texts)
		b.volume(v)
		mounts = append(mounts, core.VolumeMount{Name: v.Name, MountPath: textsDir, ReadOnly: true})
	}
	if a.account {
		v := account(a.name + "-account")
		b.volume(v)
		mounts = append(mounts, core.VolumeMount{Name: v.Name, MountPath: accountDir, ReadOnly: true})
	}
	c := b.ours(a.name, []string{agentPath}, args, defaultUser)
	c.SecurityContext.RunAsUser, c.SecurityContext.RunAsGroup = a.user, a.group
	c.VolumeMounts = mounts
	if a.stays {
		always := core.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
		if a.waits {
			c.StartupProbe = &core.Probe{
				ProbeHandler:  core.ProbeHandler{Exec: &core.ExecAction{Command: literal(agentPath, "agent", "--ready", "--target="+a.target)}},
				PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 600, SuccessThreshold: 1,
			}
		}
	}
	if a.more != nil {
		a.more(&c)
	}
	b.initContainer(c, a.first)
}
