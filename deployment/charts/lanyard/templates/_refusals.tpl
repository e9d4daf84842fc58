{{/* What the schema cannot say: values that contradict each other. */}}
{{- define "lanyard.refusals" -}}
{{- if and .Values.secrets (ne (int64 .Values.runAsUser) 0) -}}
{{- fail "secrets: the kubelet makes their files root's, so that runAsUser cannot read them; set runAsUser: 0, or keep the files elsewhere" -}}
{{- end -}}
{{- if and .Values.tokenRequestNamespaces (not (include "lanyard.tokenRequest" .)) -}}
{{- fail "tokenRequestNamespaces: has no effect without config.policy.tokenRequest: true; set that, or remove it" -}}
{{- end -}}
{{- if and (or .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled) .Values.hostNetwork -}}
{{- fail "networkPolicy: does not hold for pods on the host's network; turn it or hostNetwork off" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.from) (or .Values.podMonitor.enabled .Values.serviceMonitor.enabled) -}}
{{- fail "networkPolicy.from: is empty, so that nobody can scrape; name Prometheus' pods or namespace, or set networkPolicy.enabled: false" -}}
{{- end -}}
{{- if and .Values.priorityClass.create (hasPrefix "system-" .Values.priorityClass.name) -}}
{{- fail "priorityClass.name: names that begin with system- are Kubernetes' own; give the class that create: true makes another name" -}}
{{- end -}}
{{- end -}}
