package aws_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	awsdialect "github.com/lanyardhq/lanyard/provider/dialect/aws"
)

// The page for those who come from the original names every parameter and field
// that the dialect knows, and no others.
func TestThePageHasEveryParameterAndField(t *testing.T) {
	page, err := os.ReadFile("../../../docs/migrate-from-aws.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := func(section string) (names []string) {
		text := regexp.MustCompile(`(?s)\n## ` + section + `\n(.*?)\n## `).FindSubmatch(page)
		if text == nil {
			t.Fatalf("there is no section %s", section)
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(text[1], -1) {
			names = append(names, string(row[1]))
		}
		slices.Sort(names)
		return names
	}
	parameters := []string{"failoverRegion", "objects", "pathTranslation", "preferredAddressType", "region", "usePodIdentity"}
	if got := rows("Parameters"); !slices.Equal(got, parameters) {
		t.Errorf("parameters %v, want %v", got, parameters)
	}
	fields := []string{
		"failoverObject.objectName", "failoverObject.objectVersion", "failoverObject.objectVersionLabel", "filePermission",
		"jmesPath[].filePermission", "jmesPath[].objectAlias", "jmesPath[].path",
		"objectAlias", "objectName", "objectType", "objectVersion", "objectVersionLabel",
	}
	if got := rows("Fields of an object"); !slices.Equal(got, fields) {
		t.Errorf("fields %v, want %v", got, fields)
	}
	added := []string{"encoding", "expand", "jmesPath[].encoding", "jmesPath[].optional", "optional"}
	if got := rows("Fields that are added here"); !slices.Equal(got, added) {
		t.Errorf("added fields %v, want %v", got, added)
	}
	// All of them at once are known.
	_, err = awsdialect.Parse(map[string]string{
		"failoverRegion": "us-east-2", "pathTranslation": "-", "preferredAddressType": "ipv4", "region": "us-east-1", "usePodIdentity": "true",
		"objects": `[{objectName: a, objectType: secretsmanager, objectAlias: b, objectVersion: c, objectVersionLabel: d, filePermission: "0600",
  expand: true, encoding: base64, optional: true,
  jmesPath: [{path: e, objectAlias: f, filePermission: "0600", encoding: hex, optional: true}], failoverObject: {objectName: g, objectVersion: c, objectVersionLabel: h}}]`,
	})
	if err != nil {
		t.Error(err)
	}
}
