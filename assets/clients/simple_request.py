"""Asks a Beagle server what is in a photo, as a program would.

    pip install requests
    python simple_request.py dog.jpg [http://127.0.0.1:5000/predict]
"""

import sys

import requests

photo = sys.argv[1]
url = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:5000/predict"
with open(photo, "rb") as file:
    answer = requests.post(url, files={"image": file}, timeout=60).json()
if not answer["success"]:
    sys.exit(f"{answer['error']['code']}: {answer['error']['message']}")
for rank, prediction in enumerate(answer["predictions"], start=1):
    print(f"{rank}. {prediction['label']}: {prediction['probability']:.4f}")
