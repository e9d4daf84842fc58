{{/* The URLs in a value, one a line. Azure's endpoint is a host and port. */}}
{{- define "lanyard.urls" -}}
{{- if kindIs "map" . -}}
{{- range $name, $value := . -}}
{{- if and (eq $name "endpoint") (kindIs "string" $value) (not (contains "://" $value)) }}
{{ printf "https://%s" $value }}
{{- else -}}
{{ include "lanyard.urls" $value }}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}{{ include "lanyard.urls" . }}{{- end -}}
{{- else if and (kindIs "string" .) (regexMatch "^https?://" .) }}
{{ . }}
{{- end -}}
{{- end -}}

{{/* "host port" for a URL. */}}
{{- define "lanyard.hostPort" -}}
{{- $host := regexReplaceAll "^https?://(\\[[^\\]]*\\]|[^:/]*).*$" . "${1}" -}}
{{- $port := regexReplaceAll "^https?://(?:\\[[^\\]]*\\]|[^:/]*):?([0-9]*).*$" . "${1}" -}}
{{- printf "%s %s" $host ($port | default (hasPrefix "http:" . | ternary "80" "443")) -}}
{{- end -}}

{{/* Where the provider's calls go by its configuration, one a line: "IP/BITS PORT", "* PORT" for the hosts
     that have names, which no NetworkPolicy knows, "IP/BITS *", and "any". */}}
{{- define "lanyard.destinations" -}}
{{- $proxy := dig "proxy" "url" "" .Values.config -}}
{{- $direct := or (not $proxy) (dig "proxy" "noProxy" "" .Values.config) -}}
{{- $urls := list -}}
{{- if $proxy -}}
{{- $urls = append $urls $proxy -}}
{{- end -}}
{{- range $name, $store := (dig "stores" dict .Values.config) -}}
{{- $text := toJson $store -}}
{{- if $direct -}}
{{- $urls = concat $urls (include "lanyard.urls" $store | splitList "\n") -}}
{{- if regexMatch "^(aws-|azure-|google-)" $store.type -}}
{{- $urls = append $urls "https://by-name" -}}
{{- end -}}
{{- range (dig "keys" list $store) -}}
{{- if has (dig "service" "type" "" .) (list "aws" "azure" "gcp") -}}
{{- $urls = append $urls "https://by-name" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if contains "\"podIdentity\"" $text -}}
{{- $urls = concat $urls (list "http://169.254.170.23" "http://[fd00:ec2::23]") -}}
{{- end -}}
{{- if or (regexMatch "\"(managedIdentity|instanceRole|metadata)\"" $text) (and (regexMatch "\"(google-secret-manager|gcp)\"" $text) (not (contains "\"audience\"" $text))) -}}
{{- $urls = append $urls "http://169.254.169.254" -}}
{{- end -}}
{{- end -}}
{{- range compact $urls }}
{{- $host := include "lanyard.hostPort" . | splitList " " | first -}}
{{- $port := include "lanyard.hostPort" . | splitList " " | last -}}
{{- if or (eq $host "localhost") (hasPrefix "127." $host) (eq $host "[::1]") -}}
{{- else if regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}$" $host }}
{{ printf "%s/32 %s" $host $port }}
{{- else if hasPrefix "[" $host }}
{{ printf "%s/128 %s" (trimAll "[]" $host) $port }}
{{- else }}
{{ printf "* %s" $port }}
{{- end -}}
{{- end -}}
{{- $classStores := dig "policy" "classStores" true .Values.config -}}
{{- if not $direct -}}
{{- else if and (kindIs "bool" $classStores) $classStores }}
any
{{- else if kindIs "slice" $classStores -}}
{{- range $classStores -}}
{{- if eq . "*" }}
any
{{- else if contains "/" . }}
{{ . }} *
{{- else if regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}(:[0-9]+)?$" . }}
{{ printf "%s/32 %s" (splitList ":" . | first) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) | default "*") }}
{{- else if hasPrefix "[" . }}
{{ printf "%s/128 %s" (regexReplaceAll "^\\[(.*)\\].*$" . "${1}") (regexFind "[0-9]+$" .) }}
{{- else if gt (len (splitList ":" .)) 2 }}
{{ . }}/128 *
{{- else }}
{{ printf "* %s" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) | default "443") }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
