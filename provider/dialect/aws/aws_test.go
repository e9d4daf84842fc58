package aws_test

import (
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/config"
	awsdialect "github.com/lanyardhq/lanyard/provider/dialect/aws"
	"github.com/lanyardhq/lanyard/provider/spec"
)

func TestParametersBecomeSettingsOfTheStores(t *testing.T) {
	const objects = "- {objectName: a, objectType: secretsmanager}\n- {objectName: b, objectType: ssmparameter}"
	for name, test := range map[string]struct {
		parameters map[string]string
		want       map[string]any
		idle       string
	}{
		"nothing":        {nil, map[string]any{}, ""},
		"regions":        {map[string]string{"region": "us-east-1", "failoverRegion": "us-east-2"}, map[string]any{"region": "us-east-1", "failoverRegions": []any{"us-east-2"}}, ""},
		"Pod Identity":   {map[string]string{"usePodIdentity": "T"}, map[string]any{"auth": map[string]any{"method": "podIdentity"}}, ""},
		"IRSA":           {map[string]string{"usePodIdentity": "f"}, map[string]any{"auth": map[string]any{"method": "webIdentity"}}, ""},
		"an address":     {map[string]string{"usePodIdentity": "true", "preferredAddressType": "IPV6"}, map[string]any{"auth": map[string]any{"method": "podIdentity", "addressType": "ipv6"}}, ""},
		"either address": {map[string]string{"usePodIdentity": "true", "preferredAddressType": "auto"}, map[string]any{"auth": map[string]any{"method": "podIdentity"}}, ""},
		"idle address":   {map[string]string{"preferredAddressType": "ipv4"}, map[string]any{}, "preferredAddressType: has no effect without usePodIdentity"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]string{"objects": objects}
			maps.Copy(parameters, test.parameters)
			class, err := awsdialect.Parse(parameters)
			if err != nil {
				t.Fatal(err)
			}
			for store, typeName := range map[string]string{awsdialect.SecretsManager: "aws-secrets-manager", awsdialect.ParameterStore: "aws-parameter-store"} {
				test.want["type"] = typeName
				if got := class.Stores[store]; !reflect.DeepEqual(got, test.want) {
					t.Errorf("%s: settings %v, want %v", store, got, test.want)
				}
			}
			if got := class.Idle.Error(); got != test.idle {
				t.Errorf("without effect: %q, want %q", got, test.idle)
			}
		})
	}
}

func TestOnlyTheStoresThatAClassReadsFromAreItsStores(t *testing.T) {
	class, err := awsdialect.Parse(map[string]string{"region": "us-east-1", "objects": "- {objectName: a, objectType: ssmparameter}"})
	if err != nil {
		t.Fatal(err)
	}
	if len(class.Stores) != 1 || class.Stores[awsdialect.ParameterStore]["type"] != "aws-parameter-store" {
		t.Errorf("stores %v", class.Stores)
	}
}

func TestFieldsBecomeObjects(t *testing.T) {
	mode := func(bits fs.FileMode) *fs.FileMode { return &bits }
	const secrets, parameters = awsdialect.SecretsManager, awsdialect.ParameterStore
	for name, test := range map[string]struct {
		entry string
		want  []spec.Object
	}{
		"a secret":    {"{objectName: a/b, objectType: secretsmanager}", []spec.Object{{Path: "a_b", Store: secrets, Key: "a/b"}}},
		"a parameter": {"{objectName: /a/b, objectType: ssmparameter}", []spec.Object{{Path: "_a_b", Store: parameters, Key: "/a/b"}}},
		"a label":     {"{objectName: a, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS}", []spec.Object{{Path: "a", Store: secrets, Key: "a", Options: map[string]any{"stage": "AWSPREVIOUS"}}}},
		"a number":    {"{objectName: 007, objectType: ssmparameter, objectVersion: 3}", []spec.Object{{Path: "007", Store: parameters, Key: "007", Version: "3"}}},
		"parts": {`{objectName: a, objectType: secretsmanager, filePermission: "0600", jmesPath: [{path: b, objectAlias: c}, {path: d, objectAlias: e, filePermission: 0440}]}`,
			[]spec.Object{
				{Path: "a", Store: secrets, Key: "a", Mode: mode(0o600)},
				{Path: "c", Store: secrets, Key: "a", Property: "b", Mode: mode(0o600)},
				{Path: "e", Store: secrets, Key: "a", Property: "d", Mode: mode(0o440)},
			}},
		"two stages of a name": {"{objectName: a, objectType: secretsmanager, objectVersionLabel: one}\n- {objectName: a, objectType: secretsmanager, objectAlias: b}",
			[]spec.Object{{Path: "a", Store: secrets, Key: "a", Options: map[string]any{"stage": "one"}}, {Path: "b", Store: secrets, Key: "a", Entry: 2}}},
		"all keys": {"{objectName: a/b, objectType: secretsmanager, expand: true, encoding: base64, optional: true, jmesPath: [{path: c, objectAlias: d}]}",
			[]spec.Object{{Path: "a_b", Store: secrets, Key: "a/b", Expand: true, Encoding: "base64", Optional: true}, {Path: "d", Store: secrets, Key: "a/b", Property: "c", Optional: true}}},
		"a part's own": {"{objectName: a, objectType: secretsmanager, jmesPath: [{path: c, objectAlias: d, encoding: base64, optional: true}]}",
			[]spec.Object{{Path: "a", Store: secrets, Key: "a"}, {Path: "d", Store: secrets, Key: "a", Property: "c", Encoding: "base64", Optional: true}}},
		"below a path":             {"{objectName: /a/b/*, objectType: ssmparameter}", []spec.Object{{Path: "_a_b", Store: parameters, Key: "/a/b", Expand: true, Options: map[string]any{"path": true}}}},
		"all below a path":         {"{objectName: /a/b/**, objectType: ssmparameter}", []spec.Object{{Path: "_a_b", Store: parameters, Key: "/a/b", Expand: true, Options: map[string]any{"path": true, "recursive": true}}}},
		"all parameters":           {"{objectName: /**, objectType: ssmparameter, objectAlias: all}", []spec.Object{{Path: "all", Store: parameters, Key: "/", Expand: true, Options: map[string]any{"path": true, "recursive": true}}}},
		"secrets below a path":     {"{objectName: a/b/*, objectType: secretsmanager}", []spec.Object{{Path: "a_b", Store: secrets, Key: "a/b", Expand: true, Options: map[string]any{"path": true}}}},
		"all secrets below a path": {"{objectName: /a/**, objectType: secretsmanager, objectAlias: x, optional: true}", []spec.Object{{Path: "x", Store: secrets, Key: "/a", Expand: true, Optional: true, Options: map[string]any{"path": true, "recursive": true}}}},
		"failover of a path": {"{objectName: a/*, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b/*}}",
			[]spec.Object{{Path: "x", Store: secrets, Key: "a", Expand: true, Options: map[string]any{"path": true, "failover": map[string]any{"key": "b"}}}}},
		"failover": {"{objectName: a, objectType: ssmparameter, objectAlias: x, objectVersionLabel: one, failoverObject: {objectName: b}}",
			[]spec.Object{{Path: "x", Store: parameters, Key: "a", Options: map[string]any{"label": "one", "failover": map[string]any{"key": "b", "label": "one"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := awsdialect.Parse(map[string]string{"region": "us-east-1", "failoverRegion": "us-east-2", "objects": "- " + test.entry})
			if err != nil {
				t.Fatal(err)
			}
			for i := range test.want {
				test.want[i].Entry = max(test.want[i].Entry, 1)
			}
			if !reflect.DeepEqual(class.Objects, test.want) {
				t.Errorf("objects\n%+v, want\n%+v", class.Objects, test.want)
			}
		})
	}
}

func TestWhatIsWrongIsToldInTheClassesOwnWords(t *testing.T) {
	good := "- {objectName: a, objectType: secretsmanager}"
	for name, test := range map[string]struct {
		parameters map[string]string
		want       []string
	}{
		"no objects":             {nil, []string{"objects: missing"}},
		"an unknown parameter":   {map[string]string{"objects": good, "regoin": "x"}, []string{"regoin: unknown parameter, which has no effect; did you mean region?"}},
		"an unknown field":       {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectAlais: b}"}, []string{"object 1 (a): objectAlais: unknown field, which has no effect; did you mean objectAlias?"}},
		"the same name twice":    {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager}\n- {objectName: a, objectType: secretsmanager}"}, []string{"object 2 (a): objectName: is used before already; give each of the two an objectAlias, or leave one out"}},
		"the same alias twice":   {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectAlias: x}\n- {objectName: b, objectType: secretsmanager, objectAlias: x}"}, []string{"object 2 (b): objectAlias: is used by object 1 already"}},
		"a part's alias twice":   {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectAlias: x, jmesPath: [{path: b, objectAlias: x}]}"}, []string{"object 1 (a): jmesPath[0].objectAlias: is used by object 1 already"}},
		"below a relative path":  {map[string]string{"objects": "- {objectName: a/*, objectType: ssmparameter}"}, []string{"objectName: must begin with a slash to mean all parameters below a path"}},
		"a version below a path": {map[string]string{"objects": "- {objectName: /a/*, objectType: ssmparameter, objectVersion: 3}"}, []string{"leave objectVersion and objectVersionLabel out"}},
		"below an ARN":           {map[string]string{"objects": "- {objectName: 'arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/*'}"}, []string{"object 1 (arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/*): objectName: an ARN names one secret or parameter; give the path alone, such as prod/db/*, and objectType"}},
		"all below an ARN":       {map[string]string{"objects": "- {objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/prod/**', objectType: ssmparameter}"}, []string{"objectName: an ARN names one secret or parameter"}},
		"a stage below a path":   {map[string]string{"objects": "- {objectName: a/**, objectType: secretsmanager, objectVersionLabel: AWSPREVIOUS}"}, []string{"objectName: reads the current ones alone; leave objectVersion and objectVersionLabel out"}},
		"failover of one":        {map[string]string{"failoverRegion": "us-east-2", "objects": "- {objectName: a/*, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: a/**}}"}, []string{"failoverObject.objectName: must end as the object's own objectName: in /*, in /**, or in neither"}},
		"failover of several":    {map[string]string{"failoverRegion": "us-east-2", "objects": "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: a/*}}"}, []string{"failoverObject.objectName: must end as the object's own"}},
		"the same file twice":    {map[string]string{"objects": "- {objectName: a/b, objectType: secretsmanager}\n- {objectname: a_b, objectType: ssmparameter}"}, []string{"object 1 (a_b): objectAlias: has no effect: object 2 makes the same file"}},
		"no name":                {map[string]string{"objects": "- {objectType: secretsmanager}"}, []string{"object 1: objectName: missing"}},
		"no type":                {map[string]string{"objects": "- {objectName: a}"}, []string{"object 1 (a): objectType: missing; give secretsmanager or ssmparameter"}},
		"an unknown type":        {map[string]string{"objects": "- {objectName: a, objectType: ssm}"}, []string{"objectType: unknown type; did you mean ssmparameter?"}},
		"another's ARN":          {map[string]string{"objects": "- {objectName: 'arn:aws:s3:::bucket'}"}, []string{"objectType: missing"}},
		"type against ARN":       {map[string]string{"objects": "- {objectName: 'arn:aws:ssm:us-east-1:111122223333:parameter/x', objectType: secretsmanager}"}, []string{"is secretsmanager, and the ARN in objectName is not"}},
		"version and label":      {map[string]string{"objects": "- {objectName: a, objectType: ssmparameter, objectVersion: 1, objectVersionLabel: x}"}, []string{"leave one of the two out"}},
		"a permission":           {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, filePermission: 'rw'}"}, []string{"filePermission: must be four octal digits"}},
		"a permission of three":  {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, filePermission: 600}"}, []string{"filePermission: must be four octal digits"}},
		"a part without a path":  {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, jmesPath: [{objectAlias: b}]}"}, []string{"jmesPath[0].path: missing"}},
		"a part without a file":  {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, jmesPath: [{path: b}]}"}, []string{"jmesPath[0].objectAlias: missing"}},
		"translation":            {map[string]string{"objects": good, "pathTranslation": "no"}, []string{`pathTranslation: must be "False", or the one character`}},
		"use of Pod Identity":    {map[string]string{"objects": good, "usePodIdentity": "yes"}, []string{`usePodIdentity: must be "true" or "false"`}},
		"an address type":        {map[string]string{"objects": good, "preferredAddressType": "ipv5"}, []string{"preferredAddressType: unknown address type; did you mean ipv4?"}},
		"failover to itself":     {map[string]string{"objects": good, "region": "us-east-1", "failoverRegion": "us-east-1"}, []string{"failoverRegion: must be another region"}},
		"failover without one":   {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectName: b}}"}, []string{"failoverObject: has no meaning without the parameter failoverRegion"}},
		"failover without alias": {map[string]string{"failoverRegion": "us-east-2", "objects": "- {objectName: a, objectType: secretsmanager, failoverObject: {objectName: b}}"}, []string{"objectAlias: missing; with failoverObject"}},
		"failover without name":  {map[string]string{"failoverRegion": "us-east-2", "objects": "- {objectName: a, objectType: secretsmanager, objectAlias: x, failoverObject: {objectVersion: b}}"}, []string{"failoverObject.objectName: missing", "failoverObject.objectVersion: must be the same"}},
		"everything at once":     {map[string]string{"objects": "- {objectName: a}\n- {objectType: secretsmanager}", "x": "y"}, []string{"object 1 (a)", "object 2: objectName", "x: unknown parameter"}},
	} {
		t.Run(name, func(t *testing.T) {
			class, err := awsdialect.Parse(test.parameters)
			for _, want := range test.want {
				if said := fmt.Sprint(err, class.Idle.Error()); !strings.Contains(said, want) {
					t.Errorf("%q is not in: %s", want, said)
				}
			}
		})
	}
}

// What only the engine and the stores can know is told in the same words.
func TestTheEngineSpeaksTheClassesLanguage(t *testing.T) {
	e := newEngine(t, world(t), nil)
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"a region":             {map[string]string{"region": "Ireland", "objects": "- {objectName: a, objectType: secretsmanager}"}, "region: must be the name of a region"},
		"a failover region":    {map[string]string{"failoverRegion": "x", "objects": "- {objectName: a, objectType: secretsmanager}"}, "failoverRegion[0]: must be the name of a region"},
		"out of the volume":    {map[string]string{"pathTranslation": "False", "objects": "- {objectName: a, objectType: secretsmanager, objectAlias: ../b}"}, "objectAlias: must not leave the volume"},
		"a failover ARN":       {map[string]string{"region": "us-east-1", "failoverRegion": "us-east-2", "objects": "- {objectName: a, objectType: secretsmanager, objectAlias: b, failoverObject: {objectName: 'arn:aws:secretsmanager:us-west-2:111122223333:secret:x-AbCdEf'}}"}, "failoverObject.objectName: is a secret of region us-west-2, and failoverRegion is us-east-2"},
		"a label as a version": {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectVersion: AWSPREVIOUS}"}, "a label such as AWSPREVIOUS goes into objectVersionLabel"},
		"a parameter's label":  {map[string]string{"objects": "- {objectName: a, objectType: ssmparameter, objectVersion: x}"}, "a label goes into objectVersionLabel"},
		"a colon":              {map[string]string{"objects": "- {objectName: 'a:3', objectType: ssmparameter}"}, "a version goes into objectVersion, a label into objectVersionLabel"},
		"a star within":        {map[string]string{"objects": "- {objectName: a*, objectType: secretsmanager}"}, "objectName: must be a secret's ARN, or its name"},
		"a path of odd names":  {map[string]string{"objects": "- {objectName: 'a b/*', objectType: secretsmanager}"}, "objectName: must be a secret's ARN, or its name"},
		"a failover path":      {map[string]string{"failoverRegion": "us-east-2", "objects": "- {objectName: a/*, objectType: secretsmanager, objectAlias: b, failoverObject: {objectName: 'arn:aws:secretsmanager:us-east-2:111122223333:secret:x/*'}}"}, "failoverObject.objectName: an ARN names one secret"},
		"an encoding":          {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, encoding: b64}"}, "encoding: must be base64"},
		"a region of an ARN":   {map[string]string{"region": "us-east-1", "objects": "- {objectName: 'arn:aws:secretsmanager:us-east-2:111122223333:secret:x-AbCdEf'}"}, "objectName: is a secret of region us-east-2"},
		"a version":            {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, objectVersion: AWSCURRENT}"}, "objectVersion: must be the ID of a version"},
		"a parameter's number": {map[string]string{"objects": "- {objectName: a, objectType: ssmparameter, objectVersion: x}"}, "objectVersion: must be the number of a version"},
		"an expression":        {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, jmesPath: [{path: my-key, objectAlias: b}]}"}, "object 1 (b): jmesPath:"},
		"an expression's hint": {map[string]string{"objects": "- {objectName: a, objectType: secretsmanager, jmesPath: [{path: my-key, objectAlias: b}]}"}, `'"my-key"'`},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Check(awsdialect.Name, test.parameters)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is not in: %v", test.want, err)
			}
		})
	}
}

// Without the right to look them up, a class whose region or role nobody names cannot
// be mounted.
func TestWhatNobodyNamesAndNobodyMayLookUp(t *testing.T) {
	e := newEngine(t, world(t), func(c *config.Config) { c.Policy.ReadObjects = false })
	region, role := "region: missing, and the provider may not look up the region of its node", "usePodIdentity: without EKS Pod Identity the role is that of the service account's annotation eks.amazonaws.com/role-arn, which the provider may not look up; give auth.role of the store in the operator's configuration, or let the operator set policy.readObjects"
	for name, test := range map[string]struct {
		parameters map[string]string
		want       []string
	}{
		"neither":       {nil, []string{region, role}},
		"the region":    {map[string]string{"region": "us-east-1"}, []string{role}},
		"pod identity":  {map[string]string{"usePodIdentity": "true"}, []string{region}},
		"both are said": {map[string]string{"region": "us-east-1", "usePodIdentity": "true"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]string{"objects": "- {objectName: a, objectType: secretsmanager}"}
			maps.Copy(parameters, test.parameters)
			said := fmt.Sprint(e.Check(awsdialect.Name, parameters))
			for _, text := range []string{region, role} {
				if want := slices.Contains(test.want, text); strings.Contains(said, text) != want {
					t.Errorf("%q is told: %t, want %t, in: %s", text, !want, want, said)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("us-east-1", "us-east-2", "_", "true", "- {objectName: a, objectType: secretsmanager}")
	f.Add("", "", "False", "", "- objectName: arn:aws:ssm:us-east-1:1:parameter/x\n  jmesPath: [{path: a, objectAlias: b}]")
	f.Add("", "", "", "x", "- {objectName: a, failoverObject: {objectName: b}, filePermission: \"0644\"}")
	f.Add("", "", "ab", "", "[[]]")
	f.Add("", "us-east-2", "", "", "- {objectName: a/**, objectType: secretsmanager, objectAlias: b, failoverObject: {objectName: c/**}}\n- {objectName: /*, objectType: ssmparameter}")
	f.Fuzz(func(t *testing.T, region, failover, translation, podIdentity, objects string) {
		class, err := awsdialect.Parse(map[string]string{
			"region": region, "failoverRegion": failover, "pathTranslation": translation, "usePodIdentity": podIdentity, "objects": objects,
		})
		if class == nil {
			t.Fatal("there is no class")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error says nothing")
		}
		for _, o := range class.Objects {
			if err == nil && (o.Key == "" || class.Stores[o.Store] == nil || o.Entry == 0) {
				t.Errorf("an object without key, store or entry: %+v", o)
			}
		}
		class.Validate()
	})
}
