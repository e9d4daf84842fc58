package aws

import (
	"strings"
	"testing"
)

const (
	keyARN   = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	mrkARN   = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	aliasARN = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/team/kms_1"
)

func TestARNsThatNameAKey(t *testing.T) {
	for text, want := range map[string]string{
		keyARN:   keyARN,
		mrkARN:   "arn:aws:kms:*:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
		aliasARN: aliasARN,
	} {
		if got, ok := parseARN(text); !ok || got.String() != want || got.in(got.region) != text {
			t.Errorf("%s is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "alias/kms", "1234abcd-12ab-34cd-56ef-1234567890ab", strings.ToUpper(keyARN), keyARN + "\n", " " + keyARN, keyARN + "/x",
		strings.Replace(keyARN, "kms", "iam", 1), strings.Replace(keyARN, "eu-west-1", "", 1), strings.Replace(mrkARN, "eu-west-1", "*", 1),
		strings.Replace(keyARN, "111122223333", "1111", 1), strings.Replace(aliasARN, "team/kms_1", "", 1), strings.Replace(keyARN, "key/", "", 1),
	} {
		if got, ok := parseARN(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestVersionsAreReadBackAsTheyWereMade(t *testing.T) {
	material := strings.Repeat("0f", 32)
	for _, text := range []string{keyARN, mrkARN} {
		for _, material := range []string{"", material} {
			used, _ := parseARN(text)
			version, ok := versionOf(used, material)
			if !ok {
				t.Fatalf("no version of %s and %q", text, material)
			}
			again, got, ok := parseVersion(version, "eu-west-1")
			if !ok || again != used || got != material {
				t.Errorf("%s is read back as %v and %q, %v", version, again, got, ok)
			}
		}
	}
	for _, version := range []string{
		"", keyARN + "#", keyARN + "#0f", keyARN + "#" + material + "0", aliasARN, mrkARN, strings.Replace(keyARN, "eu-west-1", "*", 1), "#" + material,
	} {
		if used, _, ok := parseVersion(version, "eu-west-1"); ok {
			t.Errorf("%q is taken for a version of %v", version, used)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add(keyARN)
	f.Add(mrkARN + "#" + strings.Repeat("0f", 32))
	f.Fuzz(func(t *testing.T, version string) {
		used, material, ok := parseVersion(version, "eu-west-1")
		if !ok {
			return
		}
		if again, made := versionOf(used, material); !made || again != version {
			t.Errorf("%q is read as %v and %q, which is %q", version, used, material, again)
		}
	})
}
