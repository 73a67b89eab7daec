"""How the agent speaks: instance metadata (IMDSv2), and signed calls to AWS over plain http."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import threading
import urllib.parse


class ServiceError(Exception):
    """An answer that is no success, or no answer at all."""


def request(method, url, headers=None, body=b'', timeout=10):
    """One HTTP exchange on a connection of its own: (status, body). ServiceError when nobody answers."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname, target.port or 80, timeout=timeout)
    try:
        path = (target.path or '/') + ('?' + target.query if target.query else '')
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as cause:
        raise ServiceError(f'{method} {url}: {cause!r}') from cause
    finally:
        connection.close()


def sign(method, url, headers, body, credentials, region, service, now):
    """Signature version 4: the headers to send, those given included."""
    target = urllib.parse.urlsplit(url)
    stamp = now.strftime('%Y%m%dT%H%M%SZ')
    digest = hashlib.sha256(body).hexdigest()
    signed = {name.lower(): value for name, value in headers.items()}
    signed |= {'host': target.netloc, 'x-amz-date': stamp, 'x-amz-content-sha256': digest,
               'x-amz-security-token': credentials['Token']}
    names = ';'.join(sorted(signed))
    canonical = '\n'.join([
        method, target.path or '/', '='.join([target.query, '']) if target.query else '',
        *(f'{name}:{signed[name]}' for name in sorted(signed)), '', names, digest])
    scope = f'{stamp[:8]}/{region}/{service}/aws4_request'
    to_sign = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ('AWS4' + credentials['SecretAccessKey']).encode()
    for part in (stamp[:8], region, service, 'aws4_request'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    signed['authorization'] = (f'AWS4-HMAC-SHA256 Credential={credentials["AccessKeyId"]}/{scope}, '
                               f'SignedHeaders={names}, Signature={signature}')
    return signed


class Metadata:
    """The instance's own view of itself. Tokens and credentials are kept until shortly before they end."""

    def __init__(self, endpoint):
        self._endpoint = endpoint.rstrip('/')
        self._lock = threading.Lock()
        self._token = self._credentials = None

    def get(self, path):
        with self._lock:
            return self._get(path)

    def credentials(self):
        """Credentials of the role in the instance profile."""
        with self._lock:
            soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
            if not self._credentials or self._credentials['Expiration'] < soon.strftime('%Y-%m-%dT%H:%M:%SZ'):
                folder = '/latest/meta-data/iam/security-credentials/'
                role = self._get(folder).splitlines()[0]
                self._credentials = json.loads(self._get(folder + role))
            return self._credentials

    def _get(self, path):
        if not self._token:
            self._token = self._ask('PUT', '/latest/api/token', {'X-aws-ec2-metadata-token-ttl-seconds': '21600'})
        try:
            return self._ask('GET', path, {'X-aws-ec2-metadata-token': self._token})
        except ServiceError:
            self._token = None  # ended, or the metadata service was restarted: the next call asks anew
            raise

    def _ask(self, method, path, headers):
        status, body = request(method, self._endpoint + path, headers)
        if status != 200:
            raise ServiceError(f'instance metadata answered {status} to {method} {path}')
        return body.decode()


class Service:
    """Signed calls with the instance's credentials. `endpoints` maps ssm, ec2messages and s3 to a base URL."""

    def __init__(self, metadata, region, endpoints):
        self._metadata, self._region, self._endpoints = metadata, region, endpoints

    def call(self, service, target, payload, timeout=10):
        """A JSON 1.1 call, e.g. ('ssm', 'AmazonSSM.UpdateInstanceInformation', {...}): the answer."""
        headers = {'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target}
        body = json.dumps(payload).encode()
        return json.loads(self._send(service, 'POST', '/', headers, body, timeout) or b'{}')

    def put_object(self, bucket, key, file):
        """Uploads a file as the real agent does: it looks at the bucket and its encryption first."""
        self._send('s3', 'HEAD', f'/{bucket}')
        try:
            self._send('s3', 'GET', f'/{bucket}?encryption')
        except ServiceError:
            pass  # a bucket without a setting of its own answers 404
        with open(file, 'rb') as content:
            self._send('s3', 'PUT', f'/{bucket}/{urllib.parse.quote(key, safe="/~")}', {}, content.read(), 60)

    def _send(self, service, method, path, headers=None, body=b'', timeout=10):
        url = self._endpoints[service].rstrip('/') + path
        now = datetime.datetime.now(datetime.timezone.utc)
        signed = sign(method, url, headers or {}, body, self._metadata.credentials(), self._region, service, now)
        status, answer = request(method, url, signed, body, timeout)
        if status >= 300:
            raise ServiceError(f'{service} answered {status} to {method} {path}: {answer[:300]!r}')
        return answer


def connect(config):
    """Metadata and Service as the configuration file says: ({Agent, Ssm, Mds, S3}) → (metadata, service)."""
    metadata = Metadata(os.environ.get('AWS_EC2_METADATA_SERVICE_ENDPOINT', 'http://169.254.169.254'))
    ssm = config['Ssm']['Endpoint']
    endpoints = {'ssm': ssm, 'ec2messages': config['Mds']['Endpoint'],
                 's3': config.get('S3', {}).get('Endpoint') or ssm}
    return metadata, Service(metadata, config['Agent']['Region'], endpoints)
