package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// group is a set of figures that are measured together.
type group struct {
	name    string
	about   string
	measure func(context.Context, *lab) ([]figure, error)
}

func groups() []group {
	return []group{
		{"repeat", "mounts that are answered from memory", measureRepeat},
		{"audit", "repeat mounts with a trail, and with traces", measureAudit},
		{"first", "first mounts of new service accounts", measureFirst},
		{"poll", "110 pods of one service account", measurePolls},
		{"accounts", "110 service accounts at once", measureAccounts},
		{"aws", "AWS", measureAWS},
		{"azure", "Azure", measureAzure},
		{"gcp", "Google", measureGCP},
		{"memory", "memory", measureMemory},
		{"agent", "the agent in a pod", measureAgent},
		{"exec", "a command with variables from a volume", measureExec},
		{"inject", "the webhook", measureInject},
		{"seal", "sealed values", measureSeal},
		{"reseal", "10,000 sealed values at once", measureReseal},
		{"kms", "the KMS plugin", measureKMS},
		{"start", "start to first answered mount", measureStart},
		{"coldstart", "API servers that start with encrypted Secrets", measureColdStart},
		{"sync", "the sync controller", measureSync},
		{"binary", "the binary", measureBinary},
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}

// timeLimit ends a run that hangs.
const timeLimit = time.Hour

// measure measures the groups that are asked for.
func measure(ctx context.Context, o options, stderr io.Writer) (_ *result, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	l, err := newLab(o, stderr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()

	r := &result{Machine: describeMachine(o.binary)}
	for _, g := range groups() {
		if !o.only.MatchString(g.name) {
			continue
		}
		l.progress("%s: %s", g.name, g.about)
		figures, err := g.measure(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		for i := range figures {
			figures[i].Group = g.name
		}
		r.Figures = append(r.Figures, figures...)
	}
	if len(r.Figures) == 0 {
		return nil, fmt.Errorf("-only matches no group; known are %s", groupNames())
	}
	r.Machine.LoadAfter = loadAverage()
	r.Parts = l.parts
	return r, nil
}
