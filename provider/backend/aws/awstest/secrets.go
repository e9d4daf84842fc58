package awstest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// region is what one region holds.
type region struct {
	name       string
	secrets    map[string]*secretValues
	parameters map[string]*parameter
}

// secretValues is a secret of Secrets Manager.
type secretValues struct {
	arn      string
	versions []*secretVersion
	deleted  bool
	undone   bool // its key does not decrypt
	others   bool // it is another account's, which a policy of its own shares
}

type secretVersion struct {
	id     string
	text   *string
	binary []byte
	stages []string
	made   float64 // seconds since 1970
}

// The staging labels that Secrets Manager moves by itself.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// in is the region of this name. The lock is held.
func (s *Server) in(name string) *region {
	found := s.regions[name]
	if found == nil {
		found = &region{name: name, secrets: map[string]*secretValues{}, parameters: map[string]*parameter{}}
		s.regions[name] = found
	}
	return found
}

// PutSecret makes a new version of a secret the current one, and returns the
// version's ID and the secret's ARN.
func (s *Server) PutSecret(region, name, value string) (versionID, arn string) {
	return s.putSecret(region, name, &secretVersion{text: &value})
}

// PutBinarySecret is PutSecret for bytes.
func (s *Server) PutBinarySecret(region, name string, value []byte) (versionID, arn string) {
	return s.putSecret(region, name, &secretVersion{binary: value})
}

func (s *Server) putSecret(regionName, name string, version *secretVersion) (versionID, arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.in(regionName)
	held := in.secrets[name]
	if held == nil {
		held = &secretValues{arn: fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-AbCdEf", regionName, Account, name)}
		in.secrets[name] = held
	}
	for _, old := range held.versions {
		old.stages = slices.DeleteFunc(old.stages, func(stage string) bool { return stage == previous })
		if i := slices.Index(old.stages, current); i >= 0 {
			old.stages[i] = previous
		}
	}
	version.id = idOfVersion(name, len(held.versions)+1)
	version.stages = []string{current}
	version.made = 1.7e9 + float64(len(held.versions))
	held.versions = append(held.versions, version)
	return version.id, held.arn
}

// idOfVersion is the ID of a secret's version, counted from one: the same in every
// region, as those of replicas are, and in every test.
func idOfVersion(name string, number int) string {
	sum := sha256.Sum256([]byte(name + " " + strconv.Itoa(number)))
	id := hex.EncodeToString(sum[:16])
	return strings.Join([]string{id[:8], id[8:12], "4" + id[13:16], "8" + id[17:20], id[20:]}, "-")
}

// PutOthersSecret is PutSecret for a secret of another account that is shared with
// this one. It is found by its ARN alone.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_examples_cross.html
func (s *Server) PutOthersSecret(region, account, name, value string) (arn string) {
	arn = fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-AbCdEf", region, account, name)
	s.mu.Lock()
	s.in(region).secrets[arn] = &secretValues{arn: arn, others: true}
	s.mu.Unlock()
	_, arn = s.PutSecret(region, arn, value)
	return arn
}

// Stage puts a staging label on a version.
func (s *Server) Stage(region, name, versionID, stage string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, version := range s.in(region).secrets[name].versions {
		version.stages = slices.DeleteFunc(version.stages, func(other string) bool { return other == stage })
		if version.id == versionID {
			version.stages = append(version.stages, stage)
		}
	}
}

// DeleteSecret schedules a secret for deletion, or with forced forgets it.
func (s *Server) DeleteSecret(region, name string, forced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if forced {
		delete(s.in(region).secrets, name)
		return
	}
	s.in(region).secrets[name].deleted = true
}

// DisableKey makes the key of a secret refuse to decrypt it.
func (s *Server) DisableKey(region, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in(region).secrets[name].undone = true
}

// secret finds a secret by name, ARN, or ARN without its six last characters.
// The lock is held.
func (r *region) secret(id string) (string, *secretValues) {
	if held, ok := r.secrets[id]; ok {
		return id, held
	}
	for name, held := range r.secrets {
		if id == held.arn || id == held.arn[:len(held.arn)-len("-AbCdEf")] {
			return name, held
		}
	}
	return id, nil
}

// secretAnswer is one secret as both actions answer it.
type secretAnswer struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId"`
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   float64
}

type secretQuery struct {
	SecretID     string `json:"SecretId"`
	VersionID    string `json:"VersionId"`
	VersionStage string
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *Server) getSecretValue(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[secretQuery](request)
	if failed != nil {
		return nil, failed
	}
	return s.readSecret(caller, query)
}

func (s *Server) readSecret(caller Caller, query secretQuery) (*secretAnswer, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, held := s.in(caller.Region).secret(query.SecretID)
	if failed := caller.Permit("secretsmanager:GetSecretValue", name); failed != nil {
		return nil, failed
	}
	switch {
	case held == nil:
		return nil, Fail(http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	case held.deleted:
		return nil, Fail(http.StatusBadRequest, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	case held.undone:
		return nil, Fail(http.StatusBadRequest, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
	}
	if query.VersionStage == "" && query.VersionID == "" {
		query.VersionStage = current
	}
	for _, version := range held.versions {
		if (query.VersionID == "" || query.VersionID == version.id) && (query.VersionStage == "" || slices.Contains(version.stages, query.VersionStage)) {
			return &secretAnswer{
				ARN: held.arn, Name: name, VersionID: version.id, VersionStages: version.stages,
				SecretString: version.text, SecretBinary: version.binary, CreatedDate: version.made,
			}, nil
		}
	}
	wanted := "staging label: " + query.VersionStage
	if query.VersionID != "" {
		wanted = "VersionId: " + query.VersionID
	}
	return nil, Fail(http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for "+wanted)
}

func (s *Server) isOthers(region, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.in(region).secret(id)
	return held != nil && held.others
}

// maxBatch bounds the secrets of one batch, and pageBytes the bytes of an
// answer that does not go on on a further page.
const (
	maxBatch  = 20
	pageBytes = 1 << 20
)

// batchQuery is either a list of IDs or a filter.
type batchQuery struct {
	SecretIDList []string `json:"SecretIdList"`
	Filters      []struct {
		Key    string
		Values []string
	}
	MaxResults int
	NextToken  string
}

// filter replaces the filter of a query by the names that it means: here those that begin
// with a text. Secrets that are marked for deletion are in no list.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html
func (s *Server) filter(caller Caller, query *batchQuery) *Error {
	if slices.Contains(caller.role.Without, "secretsmanager:ListSecrets") {
		return caller.refusal("secretsmanager:ListSecrets", "*")
	}
	if query.MaxResults == 0 {
		query.MaxResults = maxBatch
	}
	one := query.Filters[0]
	if len(query.SecretIDList) > 0 || len(query.Filters) != 1 || one.Key != "name" || len(one.Values) != 1 || len(one.Values[0]) > 512 || query.MaxResults < 1 || query.MaxResults > maxBatch {
		return Fail(http.StatusBadRequest, "InvalidParameterException", "either SecretIdList or Filters, of one name of at most 512 characters here, and MaxResults from 1 to 20")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, held := range s.in(caller.Region).secrets {
		if strings.HasPrefix(name, one.Values[0]) && !held.deleted && !held.others {
			query.SecretIDList = append(query.SecretIDList, name)
		}
	}
	slices.Sort(query.SecretIDList)
	return nil
}

// arnOf is the ARN of a secret, by which errors of a filter name it.
func (s *Server) arnOf(region, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in(region).secrets[name].arn
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
func (s *Server) batchGetSecretValue(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[batchQuery](request)
	if failed != nil {
		return nil, failed
	}
	if slices.Contains(caller.role.Without, "secretsmanager:BatchGetSecretValue") {
		return nil, caller.Permit("secretsmanager:BatchGetSecretValue", "*")
	}
	atOnce := maxBatch
	if len(query.Filters) > 0 {
		if failed := s.filter(caller, &query); failed != nil {
			return nil, failed
		}
		atOnce = query.MaxResults
	} else if n := len(query.SecretIDList); n == 0 || n > maxBatch || query.MaxResults != 0 {
		return nil, Fail(http.StatusBadRequest, "InvalidParameterException", fmt.Sprintf("SecretIdList has %d members, and at most %d are allowed", n, maxBatch))
	}
	type failure struct {
		SecretID  string `json:"SecretId"`
		ErrorCode string
		Message   string
	}
	var answer struct {
		SecretValues []*secretAnswer
		Errors       []failure
		NextToken    string `json:",omitempty"`
	}
	begin := 0
	if query.NextToken != "" {
		var err error
		if begin, err = strconv.Atoi(query.NextToken); err != nil || begin > len(query.SecretIDList) || begin < 0 {
			return nil, Fail(http.StatusBadRequest, "InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	size := 0
	for i, id := range query.SecretIDList[begin:] {
		if i == atOnce {
			answer.NextToken = strconv.Itoa(begin + i)
			break
		}
		value, failed := s.readSecret(caller, secretQuery{SecretID: id})
		if failed == nil && s.isOthers(caller.Region, id) {
			// The action is not among those that work across accounts.
			value, failed = nil, caller.refusal("secretsmanager:BatchGetSecretValue", id)
		}
		if failed != nil {
			if len(query.Filters) > 0 {
				id = s.arnOf(caller.Region, id)
			}
			answer.Errors = append(answer.Errors, failure{id, failed.Code, failed.Message})
			continue
		}
		if value.SecretString != nil {
			size += len(*value.SecretString)
		}
		if size += len(value.SecretBinary); size > pageBytes && i > 0 {
			answer.NextToken = strconv.Itoa(begin + i)
			break
		}
		answer.SecretValues = append(answer.SecretValues, value)
	}
	return answer, nil
}

// listPage is the most versions that a page has here; the service decides.
const listPage = 2

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html
func (s *Server) listSecretVersionIDs(caller Caller, request json.RawMessage) (any, *Error) {
	query, failed := decode[struct {
		SecretID          string `json:"SecretId"`
		IncludeDeprecated bool
		NextToken         string
	}](request)
	if failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, held := s.in(caller.Region).secret(query.SecretID)
	if failed := caller.Permit("secretsmanager:ListSecretVersionIds", name); failed != nil {
		return nil, failed
	}
	if held == nil {
		return nil, Fail(http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	type entry struct {
		VersionID     string   `json:"VersionId"`
		VersionStages []string `json:",omitempty"`
		CreatedDate   float64
	}
	answer := struct {
		ARN, Name string
		Versions  []entry
		NextToken string `json:",omitempty"`
	}{ARN: held.arn, Name: name, Versions: []entry{}}
	begin := 0
	if query.NextToken != "" {
		var err error
		if begin, err = strconv.Atoi(query.NextToken); err != nil || begin < 0 {
			return nil, Fail(http.StatusBadRequest, "InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	for i, version := range held.versions {
		switch {
		case i < begin || len(version.stages) == 0 && !query.IncludeDeprecated:
		case len(answer.Versions) == listPage:
			answer.NextToken = strconv.Itoa(i)
			return answer, nil
		default:
			answer.Versions = append(answer.Versions, entry{version.id, version.stages, version.made})
		}
	}
	return answer, nil
}
