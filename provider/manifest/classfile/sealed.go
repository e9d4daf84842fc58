package classfile

import "github.com/lanyardhq/lanyard/provider/manifest"

// Sealed is a sealed value that stands in a class.
type Sealed struct {
	Class  string
	Object string // by its name, or its path if it has none
	Text   string
}

// SealedIn lists the sealed values of every class of provider lanyard in a text of
// any number of YAML documents, in the text's order. Of what is not YAML, and of
// objects that cannot be read, it lists none.
func SealedIn(text []byte) []Sealed {
	documents, err := manifest.Documents(text)
	if err != nil {
		return nil
	}
	var found []Sealed
	for _, class := range manifest.Classes(documents) {
		if class.Provider() != "lanyard" {
			continue
		}
		for _, object := range objectsOf(lookup(class.Root, "spec")) {
			if text := scalar(lookup(object, "sealed")); text != "" {
				found = append(found, Sealed{Class: class.Name(), Object: idOf(object), Text: text})
			}
		}
	}
	return found
}
