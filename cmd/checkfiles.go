package cmd

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/lanyardhq/lanyard/provider/config"
)

// withoutFilesOfTheNode returns a configuration without the files that are read when a
// store is opened and are not on this machine, and their paths, sorted. A configuration
// is checked where it is written: on a developer's machine or in CI.
func withoutFilesOfTheNode(c config.Config) (here config.Config, elsewhere []string) {
	missing := map[string]bool{}
	if isMissing(c.Cache.VersionKeyFile) {
		missing[c.Cache.VersionKeyFile] = true
		c.Cache.VersionKeyFile = ""
	}
	c.Stores = maps.Clone(c.Stores)
	for name, store := range c.Stores {
		store.Fields, _ = withoutMissing(store.Fields, missing).(map[string]any)
		c.Stores[name] = store
	}
	return c, slices.Sorted(maps.Keys(missing))
}

// withoutMissing returns a copy of settings without the missing files, which it notes.
func withoutMissing(settings any, missing map[string]bool) any {
	switch settings := settings.(type) {
	case []any:
		items := make([]any, len(settings))
		for i, item := range settings {
			items[i] = withoutMissing(item, missing)
		}
		return items
	case map[string]any:
		left := maps.Clone(settings)
		for name, value := range settings {
			switch value.(type) {
			case map[string]any, []any:
				left[name] = withoutMissing(value, missing)
			}
			path, _ := value.(string)
			if !isMissing(path) {
				continue
			}
			switch name {
			case "keyRing": // its store passes over the file by itself
				missing[path] = true
			case "caCertFile", "caCertDir", "headersFile":
				missing[path] = true
				delete(left, name)
			case "clientCertFile", "clientKeyFile": // the pair is one setting
				missing[path] = true
				delete(left, "clientCertFile")
				delete(left, "clientKeyFile")
			case "environmentFile":
				missing[path] = true
				delete(left, name)
				for setting, value := range anyEnvironment {
					if settings[setting] == nil {
						left[setting] = value
					}
				}
			}
		}
		// The login with a certificate needs the pair. Any other login that a class
		// cannot change stands in for it.
		if auth, _ := left["auth"].(map[string]any); auth["method"] == "cert" && left["tls"] != nil && !hasPair(left["tls"]) {
			left["auth"] = map[string]any{"method": "kubernetes", "role": "any"}
		}
		return left
	}
	return settings
}

func hasPair(settings any) bool {
	fields, _ := settings.(map[string]any)
	return fields["clientCertFile"] != nil
}

// anyEnvironment stands in for what the file of a cloud of Azure's kind says.
var anyEnvironment = map[string]any{
	"authorityHost": "https://login.microsoftonline.com", "resource": "https://vault.azure.net", "dnsSuffix": "vault.azure.net",
}

func isMissing(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
