"""What every part stands on: run folder, files, strict config, registry, seeds, provenance.

Loads the standard library only; `config` is the one module that brings pydantic and YAML.
"""
