package cmd

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// logFields are the fields of log lines whose values have a form; those of logTexts are
// free text. All others are taken out.
var (
	logFields = func() map[string]form {
		fields := map[string]form{"time": isTime, "ts": isTime}
		for name, of := range fieldTable(`name pod namespace serviceAccount class workload name secret object store key keyID by kind dialect provider code method type
			name secretsync secretproviderclass secretName service ring writeKey served answered before sink program component
			word level severity format
			number count files keys tries took uid waited maximum secrets line v pid verbosity
			file path socket file
			mode mode
			address address admin
			bool leaderElection secretSyncs
			duration retry interval driftInterval downFor triedEvery
			name version versions`) {
			fields[name] = of.form
		}
		isMoment := func(value string) bool { return isTime(value) || isDuration(value) }
		for _, name := range []string{"since", "until", "downSince", "standInUntil", "failingSince", "writesFrom"} {
			fields[name] = isMoment
		}
		isTook := func(value string) bool { return isNumber(value) || isDuration(value) }
		fields["took"], fields["waited"] = isTook, isTook
		return fields
	}()
	logTexts = map[string]bool{"msg": true, "err": true, "error": true, "cause": true, "reason": true, "note": true, "warning": true, "parts": true, "panic": true, "found": true}
)

var (
	klogHead = regexp.MustCompile(`^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [A-Za-z0-9_.-]+:\d+\] `)
	klogPair = regexp.MustCompile(`^ ([A-Za-z][A-Za-z0-9_]*)=("(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^\[\]]*\]|[^\s"={}\[\]]+)`)
	klogText = regexp.MustCompile(`^"(?:[^"\\]|\\.)*"`)
)

// logLine cleans a line of a log. Of one that Lanyard writes, as text or as JSON, known
// fields stay; any other is free text.
func (r *redactor) logLine(line string) string {
	if strings.HasPrefix(line, "{") {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil {
			return r.jsonLine(fields)
		}
	}
	head := klogHead.FindString(line)
	rest := line[len(head):]
	text := klogText.FindString(rest)
	if head == "" || text == "" {
		return r.phrase(line)
	}
	clean := head + strconv.Quote(r.phrase(unquote(text)))
	for rest = rest[len(text):]; rest != ""; {
		pair := klogPair.FindStringSubmatch(rest)
		if pair == nil {
			return clean + " " + secret.Redacted // what no field is
		}
		clean += " " + pair[1] + "=" + strconv.Quote(r.field(pair[1], unquote(pair[2])))
		rest = rest[len(pair[0]):]
	}
	return clean
}

func unquote(text string) string {
	if plain, err := strconv.Unquote(text); err == nil {
		return plain
	}
	return text
}

// field cleans the value of a field of a log line.
func (r *redactor) field(name, value string) string {
	of := logFields[name]
	switch {
	case value == "" || value == secret.Redacted:
		return value
	case logTexts[name]:
		var lines []string
		for line := range strings.SplitSeq(value, "\n") {
			lines = append(lines, r.phrase(line))
		}
		return strings.Join(lines, "\n")
	case of != nil && of(value), of != nil && r.plain[value]:
		return value
	}
	return secret.Redacted
}

// jsonLine is a line of a JSON log with known fields alone.
func (r *redactor) jsonLine(fields map[string]any) string {
	clean, others := map[string]any{}, 0
	for name, value := range fields {
		of := logFields[name]
		switch value := value.(type) {
		case string:
			if of == nil && !logTexts[name] {
				others++
				continue
			}
			clean[name] = r.field(name, value)
		case map[string]any: // an object's name
			if of == nil {
				others++
				continue
			}
			ref := map[string]any{}
			for _, part := range []string{"namespace", "name"} {
				if text, ok := value[part].(string); ok {
					ref[part] = r.field(part, text)
				}
			}
			clean[name] = ref
		case float64:
			if of == nil || !of(strconv.FormatFloat(value, 'f', -1, 64)) {
				others++
				continue
			}
			clean[name] = value
		default:
			if of == nil || !of(fmt.Sprint(value)) {
				others++
				continue
			}
			clean[name] = value
		}
	}
	if others > 0 {
		clean["leftOut"] = others
	}
	text, err := json.Marshal(clean)
	if err != nil {
		return uncleanLine
	}
	return string(text)
}

var (
	metricLine  = regexp.MustCompile(`^([a-z][a-zA-Z0-9_:]{0,127})(?:\{(.*)\})? ([-+0-9.eEInfNa]{1,32})(?: \d{1,16})?$`)
	metricType  = regexp.MustCompile(`^# TYPE [a-z][a-zA-Z0-9_:]{0,127} (counter|gauge|histogram|summary|untyped)$`)
	metricLabel = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]{0,63})="((?:[^"\\]|\\.)*)",?`)
	metricNames = []string{"lanyard_", "go_", "process_", "promhttp_", "rest_client_", "workqueue_", "leader_election_"}
	labelNumber = regexp.MustCompile(`^(\+Inf|[0-9.eE+-]{1,24})$`)
)

// metrics leaves of metrics the samples of known names, and of their labels what are names.
func (r *redactor) metrics(text string) string { return r.lines(text, r.metricLine) }

func (r *redactor) metricLine(line string) string {
	if metricType.MatchString(line) || line == cutNote || strings.TrimSpace(line) == "" {
		return line
	}
	sample := metricLine.FindStringSubmatch(line)
	known := false
	for _, begin := range metricNames {
		known = known || sample != nil && strings.HasPrefix(sample[1], begin)
	}
	if !known {
		if strings.HasPrefix(line, "# HELP ") {
			return "#"
		}
		return uncleanLine
	}
	if sample[2] == "" {
		return sample[1] + " " + sample[3]
	}
	var labels []string
	for rest := sample[2]; rest != ""; {
		label := metricLabel.FindStringSubmatch(rest)
		if label == nil {
			return uncleanLine
		}
		value := label[2]
		fits := value == "" || isName(value)
		if label[1] == "le" || label[1] == "quantile" {
			fits = labelNumber.MatchString(value)
		}
		if !fits {
			value = secret.Redacted
		}
		labels = append(labels, label[1]+`="`+value+`"`)
		rest = rest[len(label[0]):]
	}
	return sample[1] + "{" + strings.Join(labels, ",") + "} " + sample[3]
}
