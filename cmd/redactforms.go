package cmd

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// form says whether a value has the form that a field's values have. What has not is taken
// out, wherever it stands.
type form func(value string) bool

var (
	namePattern       = regexp.MustCompile(`^[A-Za-z0-9_.*/][A-Za-z0-9_.:/@+*-]{0,252}$`)
	wordPattern       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,40}$`)
	numberPattern     = regexp.MustCompile(`^-?\d{1,12}(\.\d{1,6})?$`)
	sizePattern       = regexp.MustCompile(`^\d{1,12}([KMGT]i?)?B?$`)
	modePattern       = regexp.MustCompile(`^0?o?[0-7]{3,4}$`)
	expressionPattern = regexp.MustCompile(`^[A-Za-z0-9_."'\[\]@/-]{1,128}$`)
	uuidPattern       = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	imagePattern      = regexp.MustCompile(`^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9._-]{1,64})?(@sha256:[0-9a-f]{1,64})?$`)
	timePattern       = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)
)

func isBool(value string) bool   { return value == "true" || value == "false" }
func isNumber(value string) bool { return numberPattern.MatchString(value) }
func isSize(value string) bool   { return sizePattern.MatchString(value) }
func isWord(value string) bool   { return wordPattern.MatchString(value) && !isSecretForm(value) }
func isMode(value string) bool   { return modePattern.MatchString(value) }
func isTime(value string) bool   { return timePattern.MatchString(value) }

func isDuration(value string) bool {
	_, err := time.ParseDuration(value)
	return err == nil
}

// isName is true of names of objects and of what stores call their secrets.
func isName(value string) bool {
	return namePattern.MatchString(value) && !strings.Contains(value, "://") && !strings.Contains(value, "@") && !isSecretForm(value)
}

// isExpression is true of paths into a value.
func isExpression(value string) bool {
	return expressionPattern.MatchString(value) && !isSecretForm(value)
}

// isID is true of names, and of the identifiers that Azure gives tenants and applications.
func isID(value string) bool { return isName(value) || uuidPattern.MatchString(value) }

func isFile(value string) bool { return path.IsAbs(value) && isName(value) }

func isImage(value string) bool {
	name, _, _ := strings.Cut(value, "@")
	return imagePattern.MatchString(value) && !isSecretForm(name)
}

// isHost is true of a host, with a port or without.
func isHost(value string) bool {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		host, port = value, "0"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil || isName(host) && !strings.ContainsAny(host, ":/")
}

// isAddress is true of a host or a URL that is nothing but a server and a path of words.
func isAddress(value string) bool {
	if !strings.Contains(value, "://") {
		return isHost(value)
	}
	parsed, err := url.Parse(value)
	return err == nil && parsed.User == nil && parsed.RawQuery == "" && parsed.Fragment == "" && (parsed.Host == "" || isHost(parsed.Host)) &&
		cleanURL(value) == value && !isSecretForm(parsed.Host+parsed.Path)
}

// isFormList makes the form of several values between commas.
func isFormList(each form) form {
	return func(value string) bool {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" && !each(part) {
				return false
			}
		}
		return true
	}
}

// isNetwork is true of hosts and of networks, as noProxy has them.
func isNetwork(value string) bool {
	_, err := netip.ParsePrefix(value)
	return err == nil || isHost(strings.TrimPrefix(value, "*."))
}

// isSecretForm is true of what is a secret by its looks.
func isSecretForm(value string) bool {
	for _, form := range secretForms {
		if form.MatchString(value) {
			return true
		}
	}
	return looksRandom(value)
}
