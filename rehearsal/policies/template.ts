import { isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml';

/** Where a stack is made, and with which parameters; a list stands for a CommaDelimitedList. */
export interface Stack {
  readonly account: string;
  readonly region: string;
  readonly parameters: Readonly<Record<string, Value>>;
}

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
type Map = Readonly<Record<string, Value>>;

export interface Resource {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: Map;
}

/**
 * The resources of a CloudFormation template as one stack makes them. Knows the functions that ours use, and refuses
 * others.
 */
export function resourcesOf(template: string, stack: Stack): Resource[] {
  const { contents } = parseDocument(template, { logLevel: 'error' });
  return new Resolver(mapIn(toValue(contents)), stack).resources();
}

/** A short form such as `!Sub text` becomes `{Sub: text}`. */
function toValue(node: Node | null): Value {
  const plain = toPlain(node);
  return node?.tag?.startsWith('!') ? { [node.tag]: plain } : plain;
}

function toPlain(node: Node | null): Value {
  if (isMap<Node, Node>(node)) {
    return Object.fromEntries(node.items.map(({ key, value }) => [String(key), toValue(value)]));
  }
  if (isSeq<Node>(node)) {
    return node.items.map(toValue);
  }
  return isScalar(node) ? (node.value as Value) : null;
}

const isMapping = (value: Value | undefined): value is Map =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const mapIn = (value: Value | undefined): Map => (isMapping(value) ? value : {});
const listIn = (value: Value | undefined): readonly Value[] => (Array.isArray(value) ? value : []);

class Resolver {
  readonly #resources: Map;
  readonly #conditions: Map;
  readonly #known: Map;

  constructor(template: Map, { account, region, parameters }: Stack) {
    this.#resources = mapIn(template['Resources']);
    this.#conditions = mapIn(template['Conditions']);
    const defaults = Object.entries(mapIn(template['Parameters'])).map(([name, parameter]) => {
      const { Type, Default = '' } = mapIn(parameter);
      return [name, Type === 'CommaDelimitedList' ? String(Default).split(',') : Default] as const;
    });
    this.#known = {
      ...Object.fromEntries(defaults),
      ...parameters,
      'AWS::AccountId': account,
      'AWS::Region': region,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::NoValue': null,
    };
  }

  resources(): Resource[] {
    return Object.entries(this.#resources).flatMap(([logicalId, resource]) => {
      const { Type, Condition, Properties } = mapIn(resource);
      if (Condition !== undefined && !this.#holds(Condition)) return [];
      return [{ logicalId, type: String(Type), properties: mapIn(this.#resolve(Properties ?? {})) }];
    });
  }

  #resolve(value: Value): Value {
    if (Array.isArray(value)) {
      return value.map((item) => this.#resolve(item));
    }
    if (!isMapping(value)) {
      return value;
    }
    const [called, argument] = Object.entries(value)[0] ?? [];
    return called?.startsWith('!') && argument !== undefined
      ? this.#call(called, argument)
      : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, this.#resolve(inner)]));
  }

  #call(name: string, argument: Value): Value {
    switch (name) {
      case '!Ref':
        return this.#reference(String(argument));
      case '!Sub':
        return this.#substitute(argument);
      case '!Select': {
        const [index, list] = listIn(argument);
        return listIn(this.#resolve(list ?? null))[Number(index)] ?? null;
      }
      case '!Split': {
        const [separator, whole] = listIn(argument);
        return String(this.#resolve(whole ?? null)).split(String(separator));
      }
      case '!GetAtt':
        return this.#reference(String(argument));
      case '!Not':
        return !this.#resolve(listIn(argument)[0] ?? false);
      case '!And':
        return listIn(argument).every((each) => this.#resolve(each) === true);
      case '!Equals': {
        const [one, other] = listIn(this.#resolve(listIn(argument)));
        return one === other;
      }
      case '!If': {
        const [condition, then, otherwise] = listIn(argument);
        return this.#resolve((this.#holds(condition ?? false) ? then : otherwise) ?? null);
      }
      default:
        throw new Error(`The template calls ${name}, which is not known here.`);
    }
  }

  #holds(condition: Value): boolean {
    return this.#resolve(this.#conditions[String(condition)] ?? false) === true;
  }

  /** A text, or a text and names that hold in it alone. */
  #substitute(argument: Value): string {
    const [text, names] = Array.isArray(argument) ? listIn(argument) : [argument, {}];
    const own = mapIn(this.#resolve(names ?? {}));
    return String(text).replace(/\$\{([^}]+)\}/g, (_, what: string) =>
      String(own[what] ?? this.#reference(what)),
    );
  }

  #reference(what: string): Value {
    const known = this.#known[what];
    if (known !== undefined) {
      return known;
    }
    const [name = '', attribute] = what.split('.');
    const { Type, Properties } = mapIn(this.#resources[name]);
    // EC2 makes its ids up as it goes: the logical one stands for it.
    if (String(Type).startsWith('AWS::EC2::')) return name;
    const identify = identities[`${String(Type)}${attribute ? `.${attribute}` : ''}`];
    if (!identify) {
      throw new Error(`The template asks for ${what}, which is not known here.`);
    }
    const property = (key: string) => String(this.#resolve(mapIn(Properties)[key] ?? ''));
    return identify(property, this.#known);
  }
}

/** What a resource of ours is called once it is made. */
const identities: Record<string, ((property: (name: string) => string, known: Map) => string) | undefined> = {
  'AWS::S3::Bucket': (property) => property('BucketName'),
  'AWS::S3::Bucket.Arn': (property) => `arn:aws:s3:::${property('BucketName')}`,
  'AWS::IAM::Role': (property) => property('RoleName'),
  'AWS::IAM::Role.Arn': (property, known) =>
    `arn:aws:iam::${known['AWS::AccountId']}:role/${property('RoleName')}`,
  'AWS::IAM::InstanceProfile.Arn': (property, known) =>
    `arn:aws:iam::${known['AWS::AccountId']}:instance-profile/${property('InstanceProfileName')}`,
  'AWS::Events::Rule': (property) => property('Name'),
  'AWS::Logs::LogGroup': (property) => property('LogGroupName'),
  'AWS::SNS::Topic': (property, known) =>
    `arn:aws:sns:${known['AWS::Region']}:${known['AWS::AccountId']}:${property('TopicName')}`,
  'AWS::Logs::LogGroup.Arn': (property, known) =>
    `arn:aws:logs:${known['AWS::Region']}:${known['AWS::AccountId']}:log-group:${property('LogGroupName')}:*`,
  'AWS::IAM::OIDCProvider': (property, known) =>
    `arn:aws:iam::${known['AWS::AccountId']}:oidc-provider/${property('Url').replace('https://', '')}`,
};
