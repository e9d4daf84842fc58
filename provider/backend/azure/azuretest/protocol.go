package azuretest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// serveVault is the REST API of Key Vault:
// https://learn.microsoft.com/rest/api/keyvault/
func (s *Server) serveVault(w http.ResponseWriter, r *http.Request, v *Vault) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for len(parts) < 4 {
		parts = append(parts, "")
	}
	kind, name, id, operation := parts[0], parts[1], parts[2], parts[3]
	if r.Method == http.MethodPost && operation == "" {
		id, operation = "", id // of the current version
	}
	action := "get " + kind
	switch {
	case r.Header.Get("Authorization") == "":
		action = "challenge"
	case id == "versions", kind == "secrets" && name == "":
		action = "list " + kind
	case r.Method == http.MethodPost:
		action = operation
	}
	s.answering(w, r, action, func(w http.ResponseWriter) {
		clientID, text := s.checkToken(r, v)
		switch {
		case text != "":
			s.challenge(w, v, text)
		case r.URL.Query().Get("api-version") == "":
			refuse(w, http.StatusBadRequest, "BadParameter", "", "The request must specify the api-version query parameter.")
		case kind == "secrets" && name == "" && v.mayUse(clientID, "secrets/"):
			s.listSecrets(w, r, v)
		case kind == "secrets" && name == "":
			v.deny(w, clientID, kind, name)
		case name == "":
			refuse(w, http.StatusForbidden, "Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource.")
		case !v.mayUse(clientID, kind+"/"+name):
			v.deny(w, clientID, kind, name)
		case id == "versions":
			s.list(w, r, v, kind, name)
		case r.Method == http.MethodPost:
			v.operate(w, r, name, id, operation)
		default:
			v.get(w, kind, name, id)
		}
	})
}

// checkToken returns the client that a call's token is of, or what is wrong
// with it.
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes#http-401-unauthenticated-request
func (s *Server) checkToken(r *http.Request, v *Vault) (clientID, wrong string) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", "AKV10000: Request is missing a Bearer or PoP token."
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", "AKV10017: The token is malformed."
	}
	var claims struct {
		jwt.Claims
		AppID string `json:"appid"`
	}
	if token.Claims(&s.signing.PublicKey, &claims) != nil {
		return "", "AKV10009: The signature of the token is not valid."
	}
	switch want := v.resource(); {
	case !claims.Audience.Contains(want):
		return "", fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", want, strings.Join(claims.Audience, " "))
	case claims.Expiry == nil || !s.Now().Before(claims.Expiry.Time()):
		return "", "[TokenExpired] Error validating token: the lifetime is over."
	}
	return claims.AppID, ""
}

// resource is what tokens for the vault are for.
func (v *Vault) resource() string {
	_, domain, _ := strings.Cut(v.Host, ".")
	return "https://" + domain
}

// challenge answers 401 as
// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#authentication
func (s *Server) challenge(w http.ResponseWriter, v *Vault, text string) {
	s.mu.Lock()
	header, other := s.challenges[v.Host]
	s.mu.Unlock()
	if !other {
		header = fmt.Sprintf(`Bearer authorization="https://login.microsoftonline.com/%s", resource="%s"`, Tenant, v.resource())
	}
	if header != "" {
		w.Header().Set("WWW-Authenticate", header)
	}
	refuse(w, http.StatusUnauthorized, "Unauthorized", "", text)
}

// deny answers 403 as the vault's model of permissions does.
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes#http-403-insufficient-permissions
func (v *Vault) deny(w http.ResponseWriter, clientID, kind, name string) {
	v.server.mu.Lock()
	policies := v.policies
	v.server.mu.Unlock()
	vault, _, _ := strings.Cut(v.Host, ".")
	if policies {
		refuse(w, http.StatusForbidden, "Forbidden", "AccessDenied", fmt.Sprintf("The user, group or application 'appid=%s;oid=%s;iss=https://sts.windows.net/%s/' does not have %s get permission on key vault '%s;location=westeurope'.", clientID, clientID, Tenant, kind, vault))
		return
	}
	refuse(w, http.StatusForbidden, "Forbidden", "ForbiddenByRbac", fmt.Sprintf("Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=%s;oid=%s\r\nAction: 'Microsoft.KeyVault/vaults/%s/read'\r\nResource: '/vaults/%s/%s/%s'", clientID, clientID, kind, vault, kind, name))
}

// get answers with a version.
func (v *Vault) get(w http.ResponseWriter, kind, name, id string) {
	one, ok := v.find(kind+"/"+name, id)
	noun := strings.TrimSuffix(kind, "s")
	title := strings.ToUpper(noun[:1]) + noun[1:]
	switch {
	case !ok && id != "":
		refuse(w, http.StatusNotFound, title+"NotFound", "", fmt.Sprintf("A %s with (name/id) %s/%s was not found in this key vault.", noun, name, id))
		return
	case !ok:
		refuse(w, http.StatusNotFound, title+"NotFound", "", fmt.Sprintf("A %s with (name/id) %s was not found in this key vault. If you recently deleted this %s you may be able to recover it using the correct recovery command.", noun, name, noun))
		return
	case one.disabled && kind == "secrets":
		refuse(w, http.StatusForbidden, "Forbidden", title+"Disabled", fmt.Sprintf("Operation get is not allowed on a disabled %s.", noun))
		return
	}
	bundle := map[string]any{"id": v.link(kind, name, one.id), "attributes": attributes(one)}
	switch content := one.content.(type) {
	case Secret:
		bundle["value"] = content.Value
		if content.ContentType != "" {
			bundle["contentType"] = content.ContentType
		}
		if content.Certificate {
			bundle["kid"], bundle["managed"] = v.link("keys", name, one.id), true
		}
	case Certificate:
		bundle["cer"] = base64.StdEncoding.EncodeToString(content.CER)
		bundle["kid"], bundle["sid"] = v.link("keys", name, one.id), v.link("secrets", name, one.id)
	default:
		key, err := publicJWK(content, strings.Contains(v.Host, ".managedhsm."))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		delete(bundle, "id")
		key["kid"] = v.link("keys", name, one.id)
		bundle["key"] = key
	}
	answer(w, bundle)
}

func (v *Vault) link(kind, name, id string) string {
	return "https://" + v.Host + "/" + kind + "/" + name + "/" + id
}

func attributes(one version) map[string]any {
	return map[string]any{
		"enabled": !one.disabled, "created": one.created.Unix(), "updated": one.created.Unix(),
		"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
	}
}

// list answers with a page of an object's versions. Their order is that of
// their IDs, which has nothing to do with that of their making.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions
func (s *Server) list(w http.ResponseWriter, r *http.Request, v *Vault, kind, name string) {
	versions := v.all(kind + "/" + name)
	sortByID(versions)
	items := make([]map[string]any, 0, len(versions))
	for _, one := range versions {
		item := map[string]any{"id": v.link(kind, name, one.id), "attributes": attributes(one)}
		if kind == "keys" {
			item = map[string]any{"kid": v.link(kind, name, one.id), "attributes": attributes(one)}
		}
		items = append(items, item)
	}
	s.page(w, r, v, items)
}

// listSecrets answers with a page of the vault's secrets, whose IDs have no version.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets
func (s *Server) listSecrets(w http.ResponseWriter, r *http.Request, v *Vault) {
	names, current := v.latest("secrets")
	items := make([]map[string]any, 0, len(names))
	for i, name := range names {
		item := map[string]any{"id": strings.TrimSuffix(v.link("secrets", name, ""), "/"), "attributes": attributes(current[i])}
		if secret, ok := current[i].content.(Secret); ok && secret.Tags != nil {
			item["tags"] = secret.Tags
		}
		items = append(items, item)
	}
	s.page(w, r, v, items)
}

// page answers with the page of the items that is asked for.
func (s *Server) page(w http.ResponseWriter, r *http.Request, v *Vault, items []map[string]any) {
	skip, err := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	if err != nil {
		skip = 0
	}
	s.mu.Lock()
	size := s.pageSize
	s.mu.Unlock()
	page := map[string]any{"value": items[min(skip, len(items)):min(skip+size, len(items))], "nextLink": nil}
	if skip+size < len(items) {
		// Key Vault writes the port that https has anyway.
		// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets#examples
		page["nextLink"] = fmt.Sprintf("https://%s:443/%s?api-version=7.4&$skiptoken=%d", v.Host, strings.Trim(r.URL.Path, "/"), skip+size)
	}
	answer(w, page)
}

func answer(w http.ResponseWriter, content any) { answerJSON(w, http.StatusOK, content) }

func answerJSON(w http.ResponseWriter, status int, content any) {
	backendtest.WriteJSON(w, status, "application/json; charset=utf-8", content)
}

// refuse answers in the form of
// https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#error-responses
func refuse(w http.ResponseWriter, status int, code, inner, message string) {
	said := map[string]any{"code": code, "message": message}
	if inner != "" {
		said["innererror"] = map[string]any{"code": inner}
	}
	answerJSON(w, status, map[string]any{"error": said})
}
