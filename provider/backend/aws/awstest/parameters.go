package awstest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// parameter is one of the Parameter Store, with its versions from one.
type parameter struct {
	kind   string // String, StringList or SecureString
	values []string
	labels map[string]int
	made   float64 // when the first was, in seconds since 1970; each other a second later
}

// PutParameter makes a new version of a parameter and returns its number. kind
// is String, StringList or SecureString.
func (s *Server) PutParameter(region, name, kind, value string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.in(region)
	held := in.parameters[name]
	if held == nil {
		s.madeLast++
		held = &parameter{labels: map[string]int{}, made: 1.7e9 + s.madeLast}
		in.parameters[name] = held
	}
	held.kind = kind
	held.values = append(held.values, value)
	return len(held.values)
}

// Label puts a label on a version of a parameter.
func (s *Server) Label(region, name, label string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in(region).parameters[name].labels[label] = version
}

// DeleteParameter forgets a parameter.
func (s *Server) DeleteParameter(region, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.in(region).parameters, name)
}

// parameterAnswer is one parameter as the actions answer it.
type parameterAnswer struct {
	ARN      string
	Name     string
	Selector string `json:",omitempty"`
	Type     string
	Value    string
	Version  int64
	DataType string

	LastModifiedDate float64
}

// find answers a name with its selector, or nil if there is none. The lock is
// held.
func (r *region) find(requested string, decrypt bool) *parameterAnswer {
	name, selector := requested, ""
	prefix := parameterARN(r.name, "")
	if rest, ok := strings.CutPrefix(requested, prefix); ok {
		name = rest
		if _, ok := r.parameters[strings.SplitN(name, ":", 2)[0]]; !ok {
			name = "/" + rest
		}
	}
	if base, rest, ok := strings.Cut(name, ":"); ok {
		name, selector = base, rest
	}
	held := r.parameters[name]
	if held == nil {
		return nil
	}
	version := len(held.values)
	if selector != "" {
		number, err := strconv.Atoi(selector)
		if err != nil {
			number = held.labels[selector]
		}
		if number < 1 || number > len(held.values) {
			return nil
		}
		version, selector = number, ":"+selector
	}
	value := held.values[version-1]
	if held.kind == "SecureString" && !decrypt {
		value = base64.StdEncoding.EncodeToString([]byte("a ciphertext of " + name))
	}
	return &parameterAnswer{
		ARN: parameterARN(r.name, strings.TrimPrefix(name, "/")), Name: name, Selector: selector,
		Type: held.kind, Value: value, Version: int64(version), DataType: "text",
		LastModifiedDate: held.made + float64(version-1),
	}
}

func parameterARN(region, name string) string {
	return fmt.Sprintf("arn:aws:ssm:%s:%s:parameter/%s", region, Account, name)
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
func (s *Server) getParameters(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[struct {
		Names          []string
		WithDecryption bool
	}](request)
	if failed != nil {
		return nil, failed
	}
	const maxNames = 10
	if n := len(query.Names); n == 0 || n > maxNames {
		return nil, Fail(http.StatusBadRequest, "ValidationException", fmt.Sprintf("1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length less than or equal to %d", maxNames))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.in(caller.Region)
	answer := struct {
		Parameters        []*parameterAnswer
		InvalidParameters []string
	}{[]*parameterAnswer{}, []string{}}
	seen := map[string]bool{}
	for _, asked := range query.Names {
		if seen[asked] {
			return nil, Fail(http.StatusBadRequest, "ValidationException", "Duplicate parameter names are not allowed in one request")
		}
		seen[asked] = true
		found := in.find(asked, query.WithDecryption)
		name := strings.SplitN(asked, ":", 2)[0]
		if found != nil {
			name = found.Name
		}
		// One name that is not permitted fails them all.
		if failed := caller.Permit("ssm:GetParameters", name); failed != nil {
			return nil, failed
		}
		if found == nil {
			answer.InvalidParameters = append(answer.InvalidParameters, asked)
			continue
		}
		answer.Parameters = append(answer.Parameters, found)
	}
	// They come in the order of their names.
	slices.SortStableFunc(answer.Parameters, func(a, b *parameterAnswer) int { return strings.Compare(a.Name, b.Name) })
	return answer, nil
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html
func (s *Server) getParametersByPath(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[struct {
		Path                      string
		Recursive, WithDecryption bool
		MaxResults                int
		NextToken                 string
	}](request)
	if failed != nil {
		return nil, failed
	}
	if failed := caller.Permit("ssm:GetParametersByPath", query.Path); failed != nil {
		return nil, failed
	}
	if query.MaxResults == 0 {
		query.MaxResults = 10
	}
	if query.MaxResults > 10 || !strings.HasPrefix(query.Path, "/") {
		return nil, Fail(http.StatusBadRequest, "ValidationException", "The parameter doesn't meet the parameter name requirements, or maxResults is above 10")
	}
	begin := 0
	if query.NextToken != "" {
		var err error
		if begin, err = strconv.Atoi(query.NextToken); err != nil {
			return nil, Fail(http.StatusBadRequest, "InvalidNextToken", "The specified token isn't valid.")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.in(caller.Region)
	answer := struct {
		Parameters []*parameterAnswer
		NextToken  string `json:",omitempty"`
	}{Parameters: []*parameterAnswer{}}
	below := strings.TrimSuffix(query.Path, "/") + "/"
	var names []string
	for _, name := range slices.Sorted(maps.Keys(in.parameters)) {
		rest, ok := strings.CutPrefix(name, below)
		if ok && (query.Recursive || !strings.Contains(rest, "/")) {
			names = append(names, name)
		}
	}
	for i, name := range names {
		switch {
		case i < begin:
		case i == begin+query.MaxResults:
			answer.NextToken = strconv.Itoa(i)
			return answer, nil
		default:
			answer.Parameters = append(answer.Parameters, in.find(name, query.WithDecryption))
		}
	}
	return answer, nil
}

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html
func (s *Server) getParameterHistory(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[struct {
		Name           string
		WithDecryption bool
		NextToken      string
	}](request)
	if failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.in(caller.Region)
	found, name := in.find(query.Name, false), query.Name
	if found != nil {
		name = found.Name
	}
	if failed := caller.Permit("ssm:GetParameterHistory", name); failed != nil {
		return nil, failed
	}
	if found == nil {
		return nil, Fail(http.StatusBadRequest, "ParameterNotFound", "")
	}
	type entry struct {
		*parameterAnswer
		Labels []string
	}
	answer := struct {
		Parameters []entry
		NextToken  string `json:",omitempty"`
	}{Parameters: []entry{}}
	begin := 0
	if query.NextToken != "" {
		var err error
		if begin, err = strconv.Atoi(query.NextToken); err != nil || begin < 0 {
			return nil, Fail(http.StatusBadRequest, "InvalidNextToken", "The specified token isn't valid.")
		}
	}
	held := in.parameters[name]
	for i := range held.values {
		if i < begin {
			continue
		}
		if len(answer.Parameters) == listPage {
			answer.NextToken = strconv.Itoa(i)
			break
		}
		one := entry{parameterAnswer: in.find(name+":"+strconv.Itoa(i+1), query.WithDecryption), Labels: []string{}}
		one.Selector = ""
		for label, version := range held.labels {
			if version == i+1 {
				one.Labels = append(one.Labels, label)
			}
		}
		answer.Parameters = append(answer.Parameters, one)
	}
	return answer, nil
}
