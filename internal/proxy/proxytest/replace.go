package proxytest

// Replace returns a copy of settings with each text replaced. It gives the dotted name
// of the setting and the text.
func Replace(settings map[string]any, with func(name, text string) string) map[string]any {
	return replaceBelow(settings, "", with)
}

func replaceBelow(settings map[string]any, prefix string, with func(name, text string) string) map[string]any {
	replaced := map[string]any{}
	for name, value := range settings {
		switch value := value.(type) {
		case string:
			replaced[name] = with(prefix+name, value)
		case map[string]any:
			replaced[name] = replaceBelow(value, prefix+name+".", with)
		default:
			replaced[name] = value
		}
	}
	return replaced
}
