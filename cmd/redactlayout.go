package cmd

import (
	"reflect"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
)

// layout says what is plain in a YAML text: which fields there are at a place, and of which
// form their values are.
type layout struct {
	// form is that of a value here; nil for one that is not plain.
	form form
	// fields are those of a mapping here, or of each in a list.
	fields map[string]*layout
	// names is what stands below names that the writer chose; nil where there are none.
	names *layout
	// inside is what is in a text here that is YAML again.
	inside *layout
}

// forms are the words that stand for forms in the tables below.
var forms = map[string]form{
	"bool": isBool, "number": isNumber, "size": isSize, "duration": isDuration, "word": isWord, "name": isName, "names": isFormList(isName), "id": isID,
	"file": isFile, "address": isAddress, "networks": isFormList(isNetwork), "mode": isMode, "expression": isExpression,
}

// fieldTable reads a table: on each line a form, and the fields that are of it.
func fieldTable(table string) map[string]*layout {
	fields := map[string]*layout{}
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		for _, name := range words[min(1, len(words)):] {
			fields[name] = &layout{form: forms[words[0]]}
		}
	}
	return fields
}

// storeSettings are the plain settings of stores, of their logins and of TLS.
var storeSettings = func() *layout {
	settings := fieldTable(`word type cloud addressType failoverCheck
		name namespace mount region failoverRegions vault project location apiVersion cluster
		address address endpoint stsEndpoint agentEndpoint regionalEndpoint iamEndpoint oauthEndpoint metadataEndpoint authorityHost dnsSuffix resource
		duration timeout
		number retries
		bool fips dualStack hsm insecureSkipVerify
		name allow ignore override
		file root keyRing environmentFile`)
	auth := &layout{fields: fieldTable(`word method addressType
		name mount role certRole audience tokenAudience region sessionName serviceAccount delegates namespace resource identityBinding
		name roleIDCredential secretIDCredential clientIDCredential clientSecretCredential keyCredential
		id tenantID clientID identityID
		bool annotations refuseKeys
		address endpoint stsEndpoint agentEndpoint iamEndpoint oauthEndpoint metadataEndpoint authorityHost
		file secretIDFile jwtFile tokenFile headersFile keyFile environmentFile`)}
	auth.fields["chain"] = auth
	settings["auth"] = auth
	settings["tls"] = &layout{fields: fieldTable(`address serverName
		bool insecureSkipVerify
		file caCertFile caCertDir clientCertFile clientKeyFile`)}
	settings["override"] = &layout{names: &layout{form: isName}}
	return &layout{fields: settings}
}()

// configTexts are the forms of the texts of the configuration; numbers, times and switches
// have their type's.
var configTexts = fieldTable(`name cluster versionKeySecret
	address url
	networks noProxy
	file caCertFile credentialsFile versionKeyFile chainKeyFile tokenFile headersFile clientCertFile clientKeyFile path
	word format`)

// configLayout is that of the operator's configuration.
var configLayout = layoutOf(reflect.TypeFor[config.Config](), "")

func layoutOf(of reflect.Type, name string) *layout {
	switch {
	case of == reflect.TypeFor[map[string]config.Store]():
		return &layout{names: storeSettings}
	case of == reflect.TypeFor[time.Duration]():
		return &layout{form: isDuration}
	case of == reflect.TypeFor[config.Size]():
		return &layout{form: isSize}
	case of == reflect.TypeFor[config.ClassStores]():
		return &layout{form: isName} // a switch, or names
	}
	switch of.Kind() {
	case reflect.Struct:
		fields := map[string]*layout{}
		for field := range of.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" {
				fields[name] = layoutOf(field.Type, name)
			}
		}
		return &layout{fields: fields}
	case reflect.Bool:
		return &layout{form: isBool}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return &layout{form: isNumber}
	}
	return configTexts[name]
}

// classLayout is that of a SecretProviderClass of any dialect.
var classLayout = func() *layout {
	object := &layout{fields: fieldTable(`name name store key version resourceName secretPath objectName objectVersion objectVersionLabel keyvaultName
		name path fileName objectAlias
		expression property secretKey extractJSONKey extractYAMLKey
		word encoding objectEncoding objectFormat objectType method
		mode mode filePermission
		bool optional expand
		duration refresh
		number objectVersionHistory`)}
	inner := &layout{fields: fieldTable("expression path\nname objectAlias\nmode filePermission\nword encoding\nbool optional")}
	object.fields["jmesPath"] = &layout{fields: inner.fields, inside: inner}
	object.fields["failoverObject"] = &layout{fields: fieldTable("name objectName objectVersion objectVersionLabel")}
	list := &layout{fields: object.fields, inside: object}
	object.fields["array"] = list
	parameters := fieldTable(`word cloudName preferredAddressType
		bool usePodIdentity useVMManagedIdentity useAzureTokenProxy
		name region failoverRegion audience keyvaultName roleName resourceGroup
		id tenantID tenantId clientID userAssignedIdentityID subscriptionId
		word pathTranslation
		duration refresh
		file cloudEnvFileName`)
	for _, prefix := range []string{"vault", "bao", "openbao"} {
		for name, of := range fieldTable(`name RoleName Namespace AuthMountPath KubernetesMountPath
			address Address TLSServerName
			bool SkipTLSVerify
			file CACertPath CADirectory TLSClientCertPath TLSClientKeyPath`) {
			parameters[prefix+name] = of
		}
	}
	parameters["objects"], parameters["secrets"] = list, list
	parameters["stores"] = &layout{inside: &layout{names: storeSettings}}
	parameters["auth"] = &layout{form: isWord}
	return &layout{fields: map[string]*layout{
		"metadata": {fields: fieldTable("name name namespace")},
		"spec":     {fields: map[string]*layout{"provider": {form: isWord}, "parameters": {fields: parameters}}},
	}}
}()
