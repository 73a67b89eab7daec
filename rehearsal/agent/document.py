"""A command's payload turned into steps: parameters checked and pasted, limits read.."""

import dataclasses
import json
import re

DEFAULT_TIMEOUT, LEAST_TIMEOUT, LONGEST_TIMEOUT = 3600, 5, 172_800


class DocumentError(Exception):
    """The document or its parameters cannot be run; the text goes into the reply."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One entry of mainSteps, ready to run. `refusal` says (status, why) when it must not run."""
    name: str
    action: str
    lines: list
    timeout: int
    folder: str
    on_failure: str
    on_success: str
    is_finally: bool
    refusal: tuple


def read_steps(payload):
    """The steps of a sendCommand payload. DocumentError when it asks for what cannot be."""
    content = payload['DocumentContent']
    if content.get('schemaVersion') not in ('2.0', '2.2'):
        raise DocumentError(f'Document with schema version {content.get("schemaVersion")} is not supported by '
                            'this agent: it runs 2.0 and 2.2')
    values = check_parameters(content.get('parameters') or {}, payload.get('Parameters') or {})
    return [read_step(step, values) for step in content['mainSteps']]


def check_parameters(declared, given):
    """Values by name, defaults filled in, each seen to match its allowedPattern and allowedValues."""
    values = {}
    for name, rule in declared.items():
        value = given.get(name, rule.get('default'))
        if value is None:
            raise DocumentError(f'Parameter {name} has no value')
        for text in value if isinstance(value, list) else [value]:
            check_value(name, rule, text)
        values[name] = value
    return values


def check_value(name, rule, value):
    allowed = rule.get('allowedValues')
    if allowed and value not in allowed:
        raise DocumentError(f'Parameter {name} is none of its allowed values {allowed}')
    pattern = rule.get('allowedPattern')
    if pattern and not re.search(as_go_reads_it(pattern), str(value)):
        raise DocumentError(f'Parameter {name} does not match its allowed pattern {pattern}')


def as_go_reads_it(pattern):
    """In Go `$` is the very end; in Python it also stands before a last newline, which would let one through."""
    return re.sub(r'(\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\$', lambda found: found[1] or r'\Z', pattern)


def paste(content, values):
    """Puts values where `{{ name }}` stands. Plain replacement without any quoting, as the real agent's."""
    if isinstance(content, list):
        return [paste(item, values) for item in content]
    if isinstance(content, dict):
        return {name: paste(item, values) for name, item in content.items()}
    if not isinstance(content, str):
        return content
    whole = re.fullmatch(r'\{\{\s*([\w-]+)\s*\}\}', content)
    if whole and whole[1] in values:
        return values[whole[1]]
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        content = re.sub(r'\{\{\s*' + re.escape(name) + r'\s*\}\}', lambda _: text, content)
    return content


def read_step(step, values):
    inputs = paste(step.get('inputs') or {}, values)
    return Step(
        name=step['name'], action=step['action'], lines=flatten(inputs.get('runCommand', [])),
        timeout=read_timeout(inputs.get('timeoutSeconds', DEFAULT_TIMEOUT)),
        folder=inputs.get('workingDirectory') or '/usr/bin',
        on_failure=inputs.get('onFailure', ''), on_success=inputs.get('onSuccess', ''),
        is_finally=str(inputs.get('finallyStep', '')).lower() == 'true',
        refusal=read_refusal(step))


def flatten(lines):
    if isinstance(lines, str):
        return [lines]
    return [line for entry in lines for line in flatten(entry)]


def read_timeout(value):
    """Seconds. What cannot be read, or lies outside 5 to 172,800, becomes 3600 without a word."""
    try:
        seconds = int(float(value))
    except (ValueError, TypeError, OverflowError):
        return DEFAULT_TIMEOUT
    return seconds if LEAST_TIMEOUT <= seconds <= LONGEST_TIMEOUT else DEFAULT_TIMEOUT


def read_refusal(step):
    """Why a step is not run on this platform, as (status, output), or None."""
    for operator, operands in (step.get('precondition') or {}).items():
        if operator != 'StringEquals' or len(operands) != 2 or operands.count('platformType') != 1:
            return 'Failed', (f"Unrecognized precondition(s): '{operator}': {operands}, please update agent to "
                              f'latest version. Step name: {step["name"]}')
        other = operands[1] if operands[0] == 'platformType' else operands[0]
        if other.lower() != 'linux':
            return 'Skipped', f'Step execution skipped due to unsatisfied preconditions. Step name: {step["name"]}'
    if step['action'] != 'aws:runShellScript':
        return 'Failed', f'Plugin with name {step["action"]} is not supported by this agent. Step name: {step["name"]}'
    return None
