{{/* The audiences that tokens for a product may have, as YAML, the usual one first: vault, openbao, aws, azure or gcp. "*"
     stands for a part of a name. See the table in docs/install.md. */}}
{{- define "lanyard.productAudiences" -}}
{{- get (dict
      "vault" (list "vault")
      "openbao" (list "openbao")
      "aws" (list "sts.amazonaws.com" "pods.eks.amazonaws.com")
      "azure" (list "api://AzureADTokenExchange" "api://AKSIdentityBinding")
      "gcp" (list "*.svc.id.goog" "https://iam.googleapis.com/projects/*/locations/global/workloadIdentityPools/*/providers/*")
    ) . | default list | toYaml -}}
{{- end -}}

{{/* The product of a type of store or key service, or of a dialect, in the words of lanyard.productAudiences. */}}
{{- define "lanyard.product" -}}
{{- if regexMatch "^aws(-|$)" . -}}aws
{{- else if regexMatch "^azure(-|$)" . -}}azure
{{- else if regexMatch "^(google-|gcp$|gke$)" . -}}gcp
{{- else -}}{{ . }}
{{- end -}}
{{- end -}}

{{/* The audience with whose token settings log in, by (list PRODUCT SETTINGS); nothing if they do without one, as with
     the node's own credentials or with those that a pod brings. */}}
{{- define "lanyard.audienceOf" -}}
{{- $product := first . -}}
{{- $auth := get (last .) "auth" | default dict -}}
{{- $method := get $auth "method" | default "" -}}
{{- $audiences := include "lanyard.productAudiences" $product | fromYamlArray -}}
{{- $usual := get $auth "audience" | default (first (append $audiences "")) -}}
{{- if eq $product "vault" -}}
{{- if not (or (has $method (list "approle" "tokenFile" "cert")) (get $auth "jwtFile")) -}}{{ $usual }}{{- end -}}
{{- else if eq $product "aws" -}}
{{- eq $method "podIdentity" | ternary (get $auth "audience" | default (last $audiences)) $usual -}}
{{- else if eq $product "azure" -}}
{{- if get $auth "identityBinding" -}}
{{- get $auth "audience" | default (last $audiences) -}}
{{- else if not (or (has $method (list "servicePrincipal" "managedIdentity")) (and (not $method) (or (get $auth "clientIDCredential") (get $auth "clientSecretCredential")))) -}}
{{- $usual -}}
{{- end -}}
{{- else if eq $product "gcp" -}}
{{- if has $method (list "metadata" "keyFile") -}}
{{- else if get $auth "tokenAudience" -}}{{ $auth.tokenAudience }}
{{- else if hasPrefix "identitynamespace:" $usual -}}{{ splitList ":" $usual | rest | first }}
{{- else if hasPrefix "//" $usual -}}https:{{ $usual }}
{{- else -}}{{ $usual | replace "*" "PROJECT" }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The audiences of the tokens that the driver has to pass, by config and the dialects, as YAML: each with what it is for. */}}
{{- define "lanyard.audiences" -}}
{{- $all := list -}}
{{- range $name, $store := (dig "stores" dict .Values.config) -}}
{{- $for := printf "the store %s" $name -}}
{{- $all = append $all (list (include "lanyard.audienceOf" (list (include "lanyard.product" $store.type) $store)) $for) -}}
{{- range (dig "keys" list $store) -}}
{{- $service := get . "service" | default dict -}}
{{- if ne (get . "openAs" | default "pod") "node" -}}
{{- $all = append $all (list (include "lanyard.audienceOf" (list (include "lanyard.product" (get $service "type" | default "")) $service)) $for) -}}
{{- end -}}
{{- end -}}
{{- range (dig "override" (dict) $store | dig "auth.audience" list) -}}
{{- $all = append $all (list (contains "*" . | ternary "" .) $for) -}}
{{- end -}}
{{- end -}}
{{- range $dialect := .Values.dialects -}}
{{- $product := include "lanyard.product" . -}}
{{- /* Its classes log in at the operator's store, where there is one of this name. */ -}}
{{- if not (hasKey (dig "stores" dict $.Values.config) .) -}}
{{- range include "lanyard.productAudiences" $product | fromYamlArray | first | default list | list | compact -}}
{{- $all = append $all (list (replace "*" "PROJECT" .) (printf "the dialect %s" $dialect)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found := dict -}}
{{- range $all -}}
{{- if first . -}}
{{- $_ := set $found (first .) (append (get $found (first .) | default list) (last .) | uniq) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* The audiences that the controller may ask for, one a line, by the stores in config, and by the dialects and the
     native classes that may define stores of their own. A store's class may choose among those of its product. */}}
{{- define "lanyard.sync.audiences" -}}
{{- if .Values.sync.audiences -}}
{{- join "\n" .Values.sync.audiences -}}
{{- else -}}
{{- $types := .Values.dialects -}}
{{- if and (has "lanyard" $types) (dig "policy" "classStores" true .Values.config) -}}
{{- $types = concat $types (list "vault" "aws" "azure" "gcp") -}}
{{- end -}}
{{- $all := list -}}
{{- range $name, $store := (dig "stores" dict .Values.config) -}}
{{- $types = append $types $store.type -}}
{{- range (dig "keys" list $store) -}}
{{- $types = append $types (dig "service" "type" "" .) -}}
{{- end -}}
{{- $all = concat $all (include "lanyard.sync.named" $store | splitList "\n" | compact) -}}
{{- end -}}
{{- range $types -}}
{{- $all = concat $all (include "lanyard.product" . | include "lanyard.productAudiences" | fromYamlArray) -}}
{{- end -}}
{{- $all | uniq | sortAlpha | join "\n" -}}
{{- end -}}
{{- end -}}

{{/* The audiences that settings name, one a line. */}}
{{- define "lanyard.sync.named" -}}
{{- if kindIs "map" . -}}
{{- range $name, $value := . -}}
{{- if and (has $name (list "audience" "tokenAudience" "auth.audience" "auth.tokenAudience")) $value }}
{{ kindIs "slice" $value | ternary $value (list $value) | join "\n" }}
{{- else }}
{{ include "lanyard.sync.named" $value }}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . }}
{{ include "lanyard.sync.named" . }}
{{- end -}}
{{- end -}}
{{- end -}}
