package aws

import (
	"regexp"
	"strings"
	"sync"
)

// arn names a key or an alias.
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
type arn struct {
	partition, region, account string
	resource                   string // key/... or alias/...
}

// everyRegion stands for the region of a multi-Region key, which is one key
// wherever it has a replica.
const everyRegion = "*"

var arnForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^arn:(aws[a-z-]{0,20}):kms:([a-z0-9-]{1,32}|\*):([0-9]{12}):(key/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|key/mrk-[0-9a-f]{32}|alias/[A-Za-z0-9/_-]{1,250})$`)
})

// parseARN takes the ARN of a key or alias in one region.
func parseARN(text string) (arn, bool) {
	parts := arnForm().FindStringSubmatch(text)
	if parts == nil || parts[2] == everyRegion {
		return arn{}, false
	}
	return arn{partition: parts[1], region: parts[2], account: parts[3], resource: parts[4]}, true
}

func (a arn) alias() bool       { return strings.HasPrefix(a.resource, "alias/") }
func (a arn) multiRegion() bool { return strings.HasPrefix(a.resource, "key/mrk-") }

// in is the ARN in a region.
func (a arn) in(region string) string {
	return "arn:" + a.partition + ":kms:" + region + ":" + a.account + ":" + a.resource
}

// String is the one name of the key, whichever replica of it is meant.
func (a arn) String() string {
	if a.multiRegion() {
		return a.in(everyRegion)
	}
	return a.in(a.region)
}

// covers is true if what was encrypted with the key used may be decrypted as
// this key: it is the key itself, or one that this alias may have pointed to, which
// is any of its account and region; which of them the caller may use is KMS's to
// say.
func (a arn) covers(used arn) bool {
	if !a.alias() {
		return a.String() == used.String()
	}
	return !used.alias() && a.partition == used.partition && a.account == used.account &&
		(a.region == used.region || used.multiRegion())
}

// A version is the ARN of the key, and the ID of the key material that
// encrypted: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-...#0f3c...".
// The region of a multi-Region key is a star.
// https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
const materialMark = "#"

var materialForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{64}$`) })

// versionOf is the version that an answer tells. material is empty for keys
// whose material KMS does not name.
func versionOf(used arn, material string) (string, bool) {
	switch {
	case material == "":
		return used.String(), true
	case !materialForm().MatchString(material):
		return "", false
	}
	return used.String() + materialMark + material, true
}

// parseVersion is the reverse of versionOf. Where the region is a star, it is
// the given one.
func parseVersion(version, region string) (used arn, material string, ok bool) {
	name, material, marked := strings.Cut(version, materialMark)
	parts := arnForm().FindStringSubmatch(name)
	if parts == nil || marked && !materialForm().MatchString(material) {
		return arn{}, "", false
	}
	used = arn{partition: parts[1], region: parts[2], account: parts[3], resource: parts[4]}
	if used.alias() || used.multiRegion() != (used.region == everyRegion) {
		return arn{}, "", false
	}
	if used.multiRegion() {
		used.region = region
	}
	return used, material, true
}
