package cmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/server/exec/reference"
	"github.com/lanyardhq/lanyard/server/inject"
)

// agentWould says what an agent would refuse of what the webhook gives it, with the agent's own
// parsers. Files of the pod are not here, and nothing is read from a store. Unless allStores,
// a class may name stores that are not known here.
func agentWould(given inject.Given, allStores bool) []string {
	settings := forOneself(config.Default())
	if given.Config != "" {
		file, err := config.Parse("configuration", []byte(given.Config))
		if err != nil {
			return problemTexts(err)
		}
		settings = file.Config
	}
	here, _ := withoutFilesOfTheNode(settings)
	e, err := engineFor(here, prometheus.NewRegistry(), nil, local{elsewhere: true})
	if err != nil {
		return problemTexts(err)
	}
	defer e.Close()
	var texts []string
	for _, container := range slices.Sorted(maps.Keys(given.References)) {
		if err := e.Check(reference.Dialect, given.References[container]); err != nil {
			texts = append(texts, fmt.Sprintf("container %s: %v", container, reference.InVariables(err)))
		}
	}
	if given.Class == "" {
		return texts
	}
	class, err := readClass(strings.NewReader(given.Class), manifest.Stdin, given.ClassName)
	if err != nil {
		// The class has no name of a file.
		return []string{strings.TrimPrefix(strings.TrimPrefix(err.Error(), "standard input "), "<stdin>: ")}
	}
	err = e.Check(class.provider, class.parameters)
	var problems spec.Problems
	if !allStores && errors.As(err, &problems) {
		return problemTexts(slices.DeleteFunc(slices.Clone(problems), func(p spec.Problem) bool { return p.Store != "" }))
	}
	return problemTexts(err)
}

// problemTexts are the problems of an error, each in a line of its own.
func problemTexts(err error) (texts []string) {
	var ofClass spec.Problems
	var ofConfiguration *config.Error
	switch {
	case err == nil:
	case errors.As(err, &ofClass):
		for _, p := range ofClass {
			texts = append(texts, p.String())
		}
	case errors.As(err, &ofConfiguration):
		for _, p := range ofConfiguration.Problems {
			texts = append(texts, p.String())
		}
	default:
		texts = []string{err.Error()}
	}
	return texts
}
