package reseal

import (
	"fmt"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// Using lists the places of values that are sealed to a key, as FILE:LINE. The error is
// that of a file which cannot be read, where one may be.
func Using(files []Input, id seal.KeyID) (places []string, err error) {
	for _, file := range files {
		if file.Problem != "" {
			return nil, fmt.Errorf("%s: %s", file.Path, file.Problem)
		}
		input, _, err := file.read()
		if err != nil {
			return nil, fmt.Errorf("%s: %s", file.Path, reason(err))
		}
		for _, at := range find(input.Text) {
			if sealed, err := seal.Parse(string(input.Text[at.start:at.end])); err == nil && sealed.KeyID() == id {
				places = append(places, fmt.Sprintf("%s:%d", file.Path, at.line))
			}
		}
	}
	return places, nil
}
