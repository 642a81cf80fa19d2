"""What an operator's program does, by the client that was made of the API's text: URL and token are the arguments."""

import io
import sys

from patchbay_client import AuthenticatedClient
from patchbay_client.api.devices import list_devices, tag_device
from patchbay_client.api.files import download_file, list_files, upload_file
from patchbay_client.api.tasks import create_task, get_task
from patchbay_client.models import CreateTask, OperationReboot, OperationRebootOp, StateOfTask
from patchbay_client.types import File

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)

devices = list_devices.sync(client=client, limit=10).items
assert len(devices) == 1, devices
device = devices[0]
assert device.reachability.score >= 0
assert tag_device.sync_detailed(device.id, "by-program", client=client).status_code == 204
assert "by-program" in list_devices.sync(client=client).items[0].tags

operation = OperationReboot(op=OperationRebootOp.REBOOT)
task = create_task.sync(device.id, client=client, body=CreateTask(operation=operation, wake=True, wait_seconds=20))
assert task.state == StateOfTask.DONE, task
assert get_task.sync(task.id, client=client).ended == task.ended
assert isinstance(task.operation, OperationReboot)

content = b"what a device is to have\n"
file = upload_file.sync(client=client, body=File(payload=io.BytesIO(content)), name="site.xml", type_="configuration")
assert file.size_bytes == len(content), file
assert [known.id for known in list_files.sync(client=client).items] == [file.id]
assert download_file.sync_detailed(file.id, client=client).content == content

missing = create_task.sync_detailed("00AABB-none", client=client, body=CreateTask(operation=operation))
assert missing.status_code == 404 and missing.parsed.error.code == "not-found", missing

print("the end of the story")
