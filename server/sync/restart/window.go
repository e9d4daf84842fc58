package restart

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the image has no files of time zones
)

// windowForm is what one part of a window looks like.
const windowForm = `"[DAYS ]HH:MM-HH:MM[ ZONE]", such as "Mon-Fri 02:00-04:00 Europe/Berlin"`

// maxParts bounds the parts of a window, each of which has a time zone in memory.
const maxParts = 16

// window is when rollouts may begin: every part of it that is open now. The zero
// window has no part and is always open.
type window struct {
	text  string
	parts []opening
}

// opening is a part of a window. It is held against the time that a clock on the
// wall of its zone shows. When clocks go forward, an opening that lies within the
// hour that is left out does not come that day; when they go back, one that lies
// within the hour that comes twice is open twice.
type opening struct {
	days     [7]bool
	from, to int // minutes of the day; to is beyond 24:00 if the opening ends on the next day
	zone     *time.Location
}

var (
	weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	clocks   = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])$`)
)

// parseWindow reads a window of one or more parts with semicolons between them.
func parseWindow(text string) (window, error) {
	w := window{text: text}
	if len(text) > 1024 {
		return w, errors.New("is longer than 1024 bytes")
	}
	if strings.Count(text, ";") >= maxParts {
		return window{}, fmt.Errorf("has more than %d parts", maxParts)
	}
	for part := range strings.SplitSeq(text, ";") {
		o, err := parseOpening(strings.Fields(part))
		if err != nil {
			return window{}, fmt.Errorf("%q: %w", strings.TrimSpace(part), err)
		}
		w.parts = append(w.parts, o)
	}
	return w, nil
}

func parseOpening(words []string) (opening, error) {
	o := opening{days: [7]bool{true, true, true, true, true, true, true}, zone: time.UTC}
	if len(words) > 0 && !clocks.MatchString(words[0]) {
		days, err := parseDays(words[0])
		if err != nil {
			return o, err
		}
		o.days, words = days, words[1:]
	}
	if len(words) == 0 || len(words) > 2 {
		return o, errors.New("want " + windowForm)
	}
	numbers := clocks.FindStringSubmatch(words[0])
	if numbers == nil {
		return o, fmt.Errorf("%q are no times; want %s", words[0], windowForm)
	}
	o.from, o.to = minutes(numbers[1], numbers[2]), minutes(numbers[3], numbers[4])
	switch {
	case o.to > 24*60:
		return o, errors.New("no day is longer than 24:00")
	case o.from == o.to:
		return o, errors.New("begins and ends at the same time")
	case o.to < o.from:
		o.to += 24 * 60
	}
	if len(words) == 2 {
		// LoadLocation takes "Local" too, the zone of whichever machine this runs on.
		zone, err := time.LoadLocation(words[1])
		if err != nil || words[1] == "Local" {
			return o, fmt.Errorf("%q is no time zone; want a name of the IANA database, such as Europe/Berlin", words[1])
		}
		o.zone = zone
	}
	return o, nil
}

// parseDays reads days and ranges of days with commas between them. A range may
// go over the end of the week.
func parseDays(text string) (days [7]bool, err error) {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return days, fmt.Errorf("%q are no days; want names such as Mon, Mon-Fri or Sat,Sun", part)
		}
		for day := from; ; day = (day + 1) % 7 {
			days[day] = true
			if day == to {
				break
			}
		}
	}
	return days, nil
}

func minutes(hours, rest string) int {
	return 60*(10*int(hours[0]-'0')+int(hours[1]-'0')) + 10*int(rest[0]-'0') + int(rest[1]-'0')
}

// open says whether a rollout may begin now.
func (w window) open(now time.Time) bool {
	return len(w.parts) == 0 || slices.ContainsFunc(w.parts, func(o opening) bool { return o.open(now) })
}

func (o opening) open(now time.Time) bool {
	local := now.In(o.zone)
	minute, day := 60*local.Hour()+local.Minute(), local.Weekday()
	today := o.days[day] && o.from <= minute && minute < o.to
	yesterday := o.days[(day+6)%7] && minute+24*60 < o.to
	return today || yesterday
}
