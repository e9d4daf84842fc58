package classfile

// Sealed is a sealed value that stands in a class.
type Sealed struct {
	Class  string
	Object string // by its name, or its path if it has none
	Text   string
}

// SealedIn lists the sealed values of every class of provider lanyard in a file
// of any number of YAML documents, in the file's order. Of a file that is no
// YAML, and of objects that cannot be read, it lists none.
func SealedIn(data []byte) []Sealed {
	documents, err := parse(data)
	if err != nil {
		return nil
	}
	var found []Sealed
	for _, document := range documents {
		kind, provider, spec := describe(document)
		if kind != "SecretProviderClass" || provider != "lanyard" {
			continue
		}
		class := scalar(lookup(lookup(document, "metadata"), "name"))
		for _, object := range objectsOf(spec) {
			if text := scalar(lookup(object, "sealed")); text != "" {
				found = append(found, Sealed{Class: class, Object: idOf(object), Text: text})
			}
		}
	}
	return found
}
