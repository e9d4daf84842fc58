{{/* What the values say of the pods of any part takes (list $ PART VALUES), where VALUES are those of the provider, sync or
     inject. */}}

{{/* The fields of a pod that stand beside its containers. */}}
{{- define "lanyard.podFields" -}}
{{- $its := list (index . 0) (index . 1) -}}
{{- with index . 2 -}}
{{- $network := get . "hostNetwork" | default false -}}
{{- with .dnsPolicy | default ($network | ternary "ClusterFirstWithHostNet" "") }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with get . "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- range . }}
  - {{ hasKey . "labelSelector" | ternary . (merge (dict "labelSelector" (dict "matchLabels" (include "lanyard.partSelector" $its | fromYaml))) .) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The security context of the pods of a Deployment, whose processes are nobody. */}}
{{- define "lanyard.podSecurityContext" -}}
{{- $user := 65532 -}}
{{- $own := dict "runAsUser" $user "runAsGroup" $user "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- /* The kubelet gives this group the files of Secrets to read. */ -}}
{{- $own = merge $own (dict "fsGroup" $user "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- mergeOverwrite $own (index . 2).podSecurityContext | toYaml -}}
{{- end -}}

{{/* The fields of a container that stand beside its image, its arguments, its ports and its volumes. A fourth item is
     the variables that the chart itself gives it. */}}
{{- define "lanyard.containerFields" -}}
{{- $values := index . 2 -}}
{{- $env := concat (index . 3) $values.extraEnv -}}
{{- with $env -}}
env:
  {{- toYaml . | nindent 2 }}
{{ end -}}
securityContext:
  {{- mergeOverwrite (dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL"))) $values.securityContext | toYaml | nindent 2 }}
{{- range $probe, $path := dict "livenessProbe" "/livez" "readinessProbe" "/readyz" "startupProbe" "/livez" }}
{{- with get $values $probe }}
{{ $probe }}:
  {{- $default := dict -}}
  {{- if not (or (hasKey . "exec") (hasKey . "grpc") (hasKey . "httpGet") (hasKey . "tcpSocket")) -}}
  {{- $default = dict "httpGet" (dict "path" $path "port" "admin") -}}
  {{- end -}}
  {{- merge $default . | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
