package awsparameters

import (
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
)

// An answer without a selector is compared by its version. One with another selector, or
// of another version, stays what it is.
func TestAnAnswerWithoutASelectorIsComparedByItsVersion(t *testing.T) {
	for asked, want := range map[string]bool{"/a:3": true, "/a:prod": true, "/a:4": false, "/a:03": true, "/b:3": false, "/s:3": false, "/a": true, "/none": false} {
		f := found{
			"/a": {Name: awssdk.String("/a"), Version: 3}, "/s": {Name: awssdk.String("/s"), Selector: awssdk.String(":7"), Version: 3}, "/none": nil,
		}
		if f[asked] == nil {
			f.adopt(asked)
		}
		if got := f[asked] != nil; got != want {
			t.Errorf("%s is answered: %v, want %v", asked, got, want)
		}
	}
}
