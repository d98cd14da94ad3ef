{
  "schema_version": 1,
  "signatures": [
    {
      "key_id": "24f6ed6acbfe1009c030d7ca567c33ca",
      "algorithm": "ed25519",
      "signature": "5pGuZLUPodOkddqRgQ8u8PIlvIkyc5/RRPHWIZgWBsd8b8NKnP14115ljiMR1RZd0PrlbEhivH2AS81HyZF0Bg=="
    },
    {
      "key_id": "56475aa75463474c0285df5dbf2bcab7",
      "algorithm": "ed25519",
      "signature": "PTT7Z5yIttkQHNpAgGBMKNDy+5EF0H2xh5f+cRpsR8r9PVqWM20ljtjAh+oeaSNlqpTEbwZEas64fgA5YDgkBQ=="
    }
  ]
}
