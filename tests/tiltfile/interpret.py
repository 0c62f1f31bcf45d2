"""Runs a Tiltfile in a Starlark interpreter and prints, as JSON, what it asks Tilt for.

Tilt's functions are recorders here; helm and kustomize are the real programs, so that what is declared is what the charts make.
Usage: interpret.py TILTFILE CONTEXT [SETTING=true ...]
"""

import json
import subprocess
import sys

import starlark

path, context, *settings = sys.argv[1:]
calls = []


def recorder(name, result=None):
    def record(*args, **kwargs):
        calls.append({"call": name, "args": list(args), "named": kwargs})
        return {"call": name, "args": list(args), "named": kwargs} if result is None else result

    return record


def helm(chart, name, namespace, values=(), set=()):
    command = ["helm", "template", name, chart, "--namespace", namespace, "--kube-version", "1.34.0"]
    for file in values:
        command += ["--values", file]
    for value in set:
        command += ["--set", value]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def decode_yaml_stream(text):
    # the project's own parser reads YAML
    script = "let t='';for await(const c of process.stdin)t+=c;const {parseAllDocuments:p}=await import('yaml');console.log(JSON.stringify(p(t).map((d)=>d.toJS()).filter(Boolean)))"
    command = ["node", "--input-type=module", "-e", script]
    return json.loads(subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout)


def fail(message):
    raise RuntimeError(message)


module = starlark.Module()
functions = {
    "k8s_context": lambda: context,
    "fail": fail,
    "helm": helm,
    "kustomize": lambda folder: calls.append({"call": "kustomize", "args": [folder], "named": {}}) or "kustomize " + folder,
    "decode_yaml_stream": decode_yaml_stream,
    "encode_yaml_stream": lambda objects: json.dumps(objects),
    "blob": lambda text: text,
    "define_bool": recorder("config.define_bool", {}),
    "parse_settings": lambda: {key: value == "true" for key, value in (setting.split("=") for setting in settings)},
}
recorded = "allow_k8s_contexts docker_build k8s_yaml k8s_resource k8s_kind local_resource"
made = "sync fall_back_on port_forward link"
for name in (recorded + " " + made).split():
    functions[name] = recorder(name)
for name, function in functions.items():
    module.add_callable(name, function)

prelude = """
config = struct(define_bool = define_bool, parse = parse_settings)
TRIGGER_MODE_MANUAL = 'manual'
"""
with open(path, encoding="utf-8") as file:
    source = prelude + file.read()
globals_ = starlark.Globals.extended_by([starlark.LibraryExtension.StructType])
ast = starlark.parse("Tiltfile", source, dialect=starlark.Dialect.extended())
starlark.eval(module, ast, globals_)
print(json.dumps([call for call in calls if call["call"] not in made.split()]))
